//! Serving a producer's reports. Its own `poll` waits out all of the time that it is given, whatever comes in, and spins
//! through the last millisecond of it (rust-rdkafka 0.39, `BaseProducer::poll`): waits of 1 ms took a whole core.

use std::thread;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// A tenth of what the fastest answer of a broker takes.
const MOMENT: Duration = Duration::from_micros(150);

/// Serves one event if there is one, with all of its reports; else lets `meanwhile` work, and sleeps for a moment when that
/// has nothing to do either.
pub(super) fn serve<C: ProducerContext>(producer: &BaseProducer<C>, meanwhile: &mut dyn FnMut() -> bool) {
    let before = producer.in_flight_count();
    producer.poll(Duration::ZERO);
    if producer.in_flight_count() >= before && !meanwhile() {
        thread::sleep(MOMENT);
    }
}
