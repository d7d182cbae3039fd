//! A mail server that does as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Take,
    /// Answers the recipient with this line.
    Refuse(&'static str),
    /// Takes the message and hangs up without a word.
    Vanish,
}

/// Runs until it is dropped.
pub struct MailServer {
    pub address: SocketAddr,
    /// Whole messages, in the order they came.
    taken: Arc<Mutex<Vec<String>>>,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    server: JoinHandle<()>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl MailServer {
    pub async fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into()).await
    }

    pub async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, moods) = (Arc::default(), Arc::default());
        let (to, from) = (Arc::clone(&taken), Arc::clone(&moods));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&to), Arc::clone(&from)));
            }
        });
        Self { address, taken, moods, server }
    }

    /// What it does with the next messages; it takes those after them.
    pub fn will(&self, moods: &[Mood]) {
        self.moods.lock().unwrap().extend(moods);
    }

    pub fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

async fn talk(stream: TcpStream, taken: Arc<Mutex<Vec<String>>>, moods: Arc<Mutex<VecDeque<Mood>>>) {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.test\r\n").await.ok();
    let mut line = String::new();
    let mut mood = Mood::Take;
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let answer = match line.get(..4).unwrap_or_default() {
            "MAIL" => {
                mood = moods.lock().unwrap().pop_front().unwrap_or(Mood::Take);
                "250 ok"
            }
            "RCPT" => match mood {
                Mood::Refuse(answer) => answer,
                _ => "250 ok",
            },
            "DATA" => {
                stream.write_all(b"354 go\r\n").await.ok();
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut message).await.is_ok_and(|read| read == 0) {
                        return;
                    }
                }
                taken.lock().unwrap().push(message);
                if mood == Mood::Vanish {
                    return;
                }
                "250 taken"
            }
            _ => "250 ok",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok();
        line.clear();
    }
}
