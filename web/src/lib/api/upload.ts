import { credentials } from './client';
import { Failure, failure } from './failure';

/** Puts a file into the organisation's media. */
export async function upload(file: File): Promise<{ id: string }> {
  const body = new FormData();
  body.append('file', file);
  const headers = { 'X-CSRF-Token': credentials.csrf, 'X-Organisation-Id': credentials.organisation };
  let response: Response;
  try {
    response = await fetch('/api/v1/media', { method: 'POST', body, headers });
  } catch (error) {
    throw new Failure(0, String(error));
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw failure(response, answer);
  return (answer as { data: { id: string } }).data;
}
