//! What the pure parts cost with recorded workouts: the time of one event, or of one entity where a name says so.
//! `CONTRIBUTING.md` says how to run it.
#![expect(clippy::unwrap_used, reason = "what is not there fails the benchmark")]

mod fold;
mod recorded;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use tidelog_events::admit::{After, KnownIds, Mark, Offer, admit};
use tidelog_events::event::judge;
use tidelog_events::frame::{BatchLines, Decoder, Encoder};
use tidelog_events::id::{Sequence, UserId};

use recorded::Recorded;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let recorded = Recorded::read();
    door(&mut criterion, &recorded);
    admission(&mut criterion, &recorded);
    frames(&mut criterion, &recorded);
    fold::benches(&mut criterion, &recorded);
    criterion.final_summary();
}

/// Measures `all`, which does something `each` times. Criterion counts each, so that its figures are those of one.
fn measure(criterion: &mut Criterion, (group, name): (&str, &str), each: u64, mut all: impl FnMut()) {
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let rounds = times.div_ceil(each);
            #[expect(clippy::disallowed_methods, reason = "a benchmark is about time")]
            let begin = Instant::now();
            for _ in 0..rounds {
                all();
            }
            begin.elapsed().mul_f64(times as f64 / (rounds * each) as f64)
        });
    });
    group.finish();
}

/// What the gateway does with a decoded body.
fn door(criterion: &mut Criterion, recorded: &Recorded) {
    measure(criterion, ("door", "split and judge"), recorded.events(), || {
        for batch in &recorded.batches {
            for line in BatchLines::split(&batch.body).unwrap().events {
                black_box(judge(line, &recorded.schema).unwrap());
            }
        }
    });
}

/// What ingest decides of a batch: as a rule without its events' ids, and with them where it came before.
fn admission(criterion: &mut Criterion, recorded: &Recorded) {
    let cases: Vec<_> = recorded.batches.iter().map(|batch| case(&batch.body, recorded)).collect();
    measure(criterion, ("admit", "next in order"), recorded.events(), || {
        for Case { offer, before, .. } in &cases {
            black_box(admit(offer, before.as_ref(), &KnownIds::new()));
        }
    });
    measure(criterion, ("admit", "pushed twice"), recorded.events(), || {
        for Case { offer, behind, known, .. } in &cases {
            black_box(admit(offer, Some(behind), known));
        }
    });
}

fn frames(criterion: &mut Criterion, recorded: &Recorded) {
    let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
    measure(criterion, ("frame", "encode"), recorded.events(), || {
        for batch in &recorded.batches {
            black_box(encoder.encode(&batch.body).unwrap());
        }
    });
    measure(criterion, ("frame", "decode"), recorded.events(), || {
        for batch in &recorded.batches {
            black_box(decoder.decode_one(&batch.frame, batch.body.len()).unwrap());
        }
    });
}

/// A batch as ingest decides about it, with the watermarks before and behind it.
struct Case {
    offer: Offer,
    before: Option<Mark>,
    behind: Mark,
    known: KnownIds,
}

fn case(body: &[u8], recorded: &Recorded) -> Case {
    let lines = BatchLines::split(body).unwrap().events;
    let judged: Vec<_> = lines.iter().map(|line| judge(line, &recorded.schema).unwrap()).collect();
    let numbered = || judged.iter().map(|event| (event.device_sequence.unwrap(), event.event_id));
    let (first, first_id) = numbered().next().unwrap();
    let (last, last_id) = numbered().next_back().unwrap();
    let author = UserId::new("user-1").unwrap();
    let earlier = Sequence(first.0 - 1);
    let mark = |sequence, event_id| Mark { owner: author.clone(), sequence, event_id };
    Case {
        before: (earlier > Sequence::ZERO).then(|| mark(earlier, first_id)),
        behind: mark(last, last_id),
        known: numbered().chain([(earlier, first_id)]).collect(),
        offer: Offer {
            author: author.clone(),
            first,
            last,
            after: Some(After {
                device_sequence: earlier,
                event_id: (earlier > Sequence::ZERO).then_some(first_id),
            }),
            ids: numbered().map(|(_, id)| id).collect(),
        },
    }
}
