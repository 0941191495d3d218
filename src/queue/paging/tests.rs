use super::*;
use crate::delivery::{ChannelLimit, SourceId};
use crate::message::{Message, Position, Traits};
use crate::protocol::FieldTable;
use crate::queue::{Arrival, Declaration, Got, Incoming, Restored, Subscription};
use crate::storage::journal::RecoveredMessage;
use crate::storage::segment::HeldPager;
use crate::time::Time;

const NOW: Time = Time(1);

pub(in crate::queue) fn publish(queue: &Arc<Queue>, count: usize) {
    let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0];
    let traits = Traits::default();
    let message =
        Message::with_inline_body(b"\0\x01q", &header, &[7; 100], traits, &mut Vec::new());
    let mut batch = (0..count).map(|_| Incoming::new(message.clone(), 0)).collect();
    queue.publish(&mut batch, Arrival::at(NOW), &mut Vec::new(), &mut Effects::default());
}

/// A queue that keeps 2000 bytes in memory.
pub(in crate::queue) fn queue(pager: &Arc<HeldPager>) -> (Arc<Queue>, Arc<Paging>) {
    let paging = Arc::new(Paging {
        pager: Arc::clone(pager) as _,
        budget: Budget { head: 2000, segment: 1000 },
        attention: Box::new(|_| {}),
        patient: AtomicUsize::new(0),
    });
    let declaration = Declaration {
        durable: false,
        auto_delete: false,
        owner: None,
        arguments: FieldTable::default(),
        options: Arc::default(),
    };
    (Queue::new("q".into(), declaration, None, Some(Arc::clone(&paging))), paging)
}

/// A crash finds segments that were read and not settled, and between them messages that only the
/// journal has.
#[test]
fn order_is_kept_where_messages_stand_between_segments() {
    let pager = Arc::new(HeldPager::default());
    let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let message =
        Message::with_inline_body(b"\0\x01q", &header, b"", Traits::default(), &mut vec![]);
    let queued = |position| Queued {
        message: message.clone(),
        position: Position(position),
        deadline: Time::NEVER,
        redelivered: false,
        kept: true,
        delivery_count: 0,
    };
    let (written, segments) = std::sync::mpsc::channel();
    for first in [10, 20, 30, 50, 70] {
        let written = written.clone();
        let done = Box::new(move |segment: Result<Segment, _>| _ = written.send(segment));
        pager.write(Owner::Nobody, Arc::new((first..first + 3).map(queued).collect()), done);
        while pager.step() {}
    }
    let segments = segments
        .try_iter()
        .map(|segment| Segment { recovered: true, ..segment.expect("it was written") });
    let recovered = |position| RecoveredMessage {
        position: Position(position),
        message: message.clone(),
        stored: None,
        redelivered: true,
    };
    let restored = Restored {
        messages: [5, 25, 45, 80].map(recovered).into(),
        segments: segments.collect(),
        settled: vec![(11, 11), (71, 71)],
        next_position: 81,
        ..Restored::default()
    };
    let (queue, _) = queue(&pager);
    let mut effects = Effects::default();
    queue.restore(restored, NOW, &mut effects);
    let mut found = Vec::new();
    loop {
        match queue.get(true, NOW, &mut effects) {
            Got::Message { queued, .. } => found.push(queued.position.0),
            Got::Empty | Got::NotSupported => break,
            Got::OnItsWay => {
                assert!(pager.step());
                queue.look(NOW, &mut effects);
            }
        }
    }
    assert_eq!(found, [5, 10, 12, 20, 21, 22, 25, 30, 31, 32, 45, 50, 51, 52, 70, 72, 80]);
}

#[test]
fn with_consumers_at_work_the_pager_is_asked_late() {
    let pager = Arc::new(HeldPager::default());
    let (queue, paging) = queue(&pager);
    let subscription = Subscription {
        outbox: Arc::new(Outbox::new(1 << 20)),
        source: SourceId(0),
        limit: Arc::new(ChannelLimit::default()),
        prefetch: 1,
        no_ack: false,
        exclusive: false,
        priority: 0,
        stream: None,
    };
    let id = queue.subscribe(subscription, NOW, &mut Effects::default()).unwrap();
    publish(&queue, 60);
    assert!(!pager.is_asked(), "its consumer may catch up");
    assert!(paging.patient.load(Ordering::Relaxed) > 2000);
    publish(&queue, 100);
    assert!(pager.is_asked(), "there is an end to patience");
    while pager.step() {}
    queue.look(NOW, &mut Effects::default());
    queue.cancel(id, NOW, &mut Effects::default());
    assert!(pager.is_asked(), "nobody is there to catch up");
    assert_eq!(paging.patient.load(Ordering::Relaxed), 0);
    publish(&queue, 100);
    let _ = queue.delete(false, false, NOW, &mut Effects::default());
    assert_eq!(paging.patient.load(Ordering::Relaxed), 0);
}
