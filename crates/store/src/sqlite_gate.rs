//! A lock for the one connection that writes, made for many short turns on few processors.
//!
//! A strictly fair lock belongs to the next in line from the moment it is given back, also while that one still waits
//! for a processor; with hundreds of turns a second, those moments are most of the time. Here whoever runs may take a free
//! lock, and only who has waited longer than [`FAIR_AFTER`] has it handed over.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Who has waited this long is next, whoever else runs.
const FAIR_AFTER: Duration = Duration::from_millis(8);

#[derive(Debug)]
pub(crate) struct Gate<T>(Arc<Mutex<State<T>>>);

impl<T> Clone for Gate<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct State<T> {
    /// `None` while somebody holds it.
    free: Option<Box<T>>,
    waiting: VecDeque<Waiter<T>>,
}

#[derive(Debug)]
struct Waiter<T> {
    since: Instant,
    tell: oneshot::Sender<Turn<T>>,
}

/// What a waiter hears.
#[derive(Debug)]
enum Turn<T> {
    /// It is yours.
    Yours(Held<T>),
    /// It is free: look again.
    Look(Look<T>),
}

/// Passes the word on when the one who was told has gone away.
#[derive(Debug)]
struct Look<T>(Option<Gate<T>>);

impl<T> Drop for Look<T> {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.wake_next();
        }
    }
}

impl<T> Gate<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(State { free: Some(Box::new(value)), waiting: VecDeque::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    pub async fn lock(&self) -> Held<T> {
        let since = Instant::now();
        let mut has_waited = false;
        loop {
            let told = {
                let mut state = self.state();
                if let Some(value) = state.free.take() {
                    return Held { value: Some(value), gate: self.clone() };
                }
                let (tell, told) = oneshot::channel();
                let waiter = Waiter { since, tell };
                if has_waited {
                    state.waiting.push_front(waiter);
                } else {
                    state.waiting.push_back(waiter);
                }
                told
            };
            has_waited = true;
            match told.await {
                Ok(Turn::Yours(held)) => return held,
                Ok(Turn::Look(mut look)) => look.0 = None,
                // Whoever was to tell is gone without telling: look.
                Err(_) => {}
            }
        }
    }

    fn give_back(&self, mut value: Box<T>) {
        loop {
            let mut state = self.state();
            let is_due = state.waiting.front().is_some_and(|waiter| waiter.since.elapsed() >= FAIR_AFTER);
            if !is_due {
                state.free = Some(value);
                drop(state);
                return self.wake_next();
            }
            let Some(waiter) = state.waiting.pop_front() else { continue };
            drop(state);
            let held = Held { value: Some(value), gate: self.clone() };
            let Err(Turn::Yours(mut held)) = waiter.tell.send(Turn::Yours(held)) else { return };
            // The one whose turn it was has gone away.
            let Some(back) = held.value.take() else { return };
            value = back;
        }
    }

    /// Tells the first who still waits that the lock may be free.
    fn wake_next(&self) {
        loop {
            let Some(waiter) = self.state().waiting.pop_front() else { return };
            let told = waiter.tell.send(Turn::Look(Look(Some(self.clone()))));
            let Err(Turn::Look(mut look)) = told else { return };
            look.0 = None;
        }
    }
}

/// The lock, held; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<T> {
    /// `None` only while it is given back.
    value: Option<Box<T>>,
    gate: Gate<T>,
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.gate.give_back(value);
        }
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("taken only when dropped"),
        }
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("taken only when dropped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn nobody_else_has_it_meanwhile() {
        let gate = Gate::new(0_u32);
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let gate = gate.clone();
                tokio::spawn(async move {
                    for _ in 0..20 {
                        let mut held = gate.lock().await;
                        let before = *held;
                        tokio::task::yield_now().await;
                        *held = before + 1;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*gate.lock().await, 1_000);
        assert_eq!(gate.waiting(), 0);
    }

    #[test]
    fn who_gave_up_waiting_does_not_keep_it_from_the_next() {
        let gate = Gate::new(());
        let held = match poll(&mut Box::pin(gate.lock())) {
            Poll::Ready(held) => held,
            Poll::Pending => panic!("it was free"),
        };
        let (mut first, mut second) = (Box::pin(gate.lock()), Box::pin(gate.lock()));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        drop(held);
        // The first was told, and goes away without looking.
        drop(first);
        assert!(poll(&mut second).is_ready());
    }

    #[test]
    fn who_waited_long_has_it_before_those_who_just_came() {
        let gate = Gate::new(());
        let held = match poll(&mut Box::pin(gate.lock())) {
            Poll::Ready(held) => held,
            Poll::Pending => panic!("it was free"),
        };
        let mut patient = Box::pin(gate.lock());
        assert!(poll(&mut patient).is_pending());
        for waiter in &mut gate.state().waiting {
            waiter.since = waiter.since.checked_sub(FAIR_AFTER).unwrap();
        }
        drop(held);
        let mut late = Box::pin(gate.lock());
        assert!(poll(&mut late).is_pending(), "it belongs to the one who waited");
        assert!(poll(&mut patient).is_ready());
    }
}
