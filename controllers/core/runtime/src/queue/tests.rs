use super::{Backoff, Queue};
use crate::caches::Key;
use crate::metrics::Metrics;
use std::time::Duration;
use tokio::time::{Instant, timeout};

fn queue() -> Queue {
    Queue::new(Backoff::DEFAULT, Metrics::new().queue("test"))
}

fn key(name: &str) -> Key {
    Key::new("shop", name)
}

const MOMENT: Duration = Duration::from_millis(1);
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::test(start_paused = true)]
async fn a_key_is_in_it_once() {
    let queue = queue();
    queue.add(key("a"));
    queue.add(key("a"));
    assert_eq!(queue.next().await, key("a"));
    queue.done(&key("a"), Duration::ZERO);
    assert!(timeout(MOMENT, queue.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_worked_on_comes_again_only_when_done() {
    let queue = queue();
    queue.add(key("a"));
    assert_eq!(queue.next().await, key("a"));
    queue.add(key("a"));
    assert!(timeout(MOMENT, queue.next()).await.is_err());
    queue.done(&key("a"), Duration::ZERO);
    assert_eq!(queue.next().await, key("a"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_rests_is_not_worked_on_whoever_asks() {
    let queue = queue();
    let start = Instant::now();
    queue.add(key("a"));
    assert_eq!(queue.next().await, key("a"));
    queue.add_after(key("a"), MOMENT);
    queue.rest(&key("a"), PAUSE * 5);
    queue.done(&key("a"), PAUSE);
    queue.add_after(key("a"), MOMENT);
    queue.add(key("a"));
    assert_eq!(queue.next().await, key("a"));
    assert!(start.elapsed() >= PAUSE * 5);
    queue.done(&key("a"), PAUSE);
    assert!(timeout(PAUSE * 9, queue.next()).await.is_err(), "once");
}

#[tokio::test(start_paused = true)]
async fn the_first_event_is_at_once_and_the_next_ones_are_gathered() {
    let queue = queue();
    let start = Instant::now();
    queue.add(key("a"));
    assert_eq!(queue.next().await, key("a"));
    assert_eq!(start.elapsed(), Duration::ZERO);
    queue.done(&key("a"), PAUSE);
    for _ in 0..10 {
        queue.add(key("a"));
        tokio::time::sleep(MOMENT).await;
    }
    assert_eq!(queue.next().await, key("a"));
    assert!(start.elapsed() >= PAUSE);
    queue.done(&key("a"), PAUSE);
    assert!(
        timeout(PAUSE * 3, queue.next()).await.is_err(),
        "ten events, one run"
    );
}

#[tokio::test(start_paused = true)]
async fn the_earliest_of_two_wishes_wins() {
    let queue = queue();
    let start = Instant::now();
    queue.add_after(key("a"), Duration::from_secs(10));
    queue.add_after(key("a"), Duration::from_secs(2));
    queue.add_after(key("a"), Duration::from_secs(5));
    assert_eq!(queue.next().await, key("a"));
    assert_eq!(start.elapsed().as_secs(), 2);
    queue.done(&key("a"), Duration::ZERO);
    assert!(timeout(Duration::from_mins(1), queue.next()).await.is_err());
    assert!(queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn back_off_doubles_until_the_key_is_forgotten() {
    let queue = queue();
    let delays: Vec<_> = (0..4).map(|_| queue.retry(key("a")).as_millis()).collect();
    assert_eq!(delays, [5, 10, 20, 40]);
    queue.forget(&key("a"));
    assert_eq!(queue.retry(key("a")).as_millis(), 5);
    assert_eq!(Backoff::DEFAULT.delay(40), Duration::from_secs(1000));
}

#[tokio::test(start_paused = true)]
async fn many_workers_share_it_and_none_sleeps_through() {
    let queue = queue();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let key = queue.next().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                queue.done(&key, Duration::ZERO);
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let start = Instant::now();
    for name in ["a", "b", "c", "d"] {
        queue.add(key(name));
    }
    for worker in workers {
        worker.await.expect("a worker does not panic");
    }
    assert_eq!(start.elapsed().as_secs(), 1);
}
