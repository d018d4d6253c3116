//! What a power cut may take, and what it may not: random histories on a file system that forgets.

use std::collections::BTreeSet;

use super::model::Model;
use super::*;

const READER: &str = "r";

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Flush,
    Sync,
    Read(usize),
    /// Acknowledges part of what was read, in percent.
    Acknowledge(usize),
    Save,
    /// Room on the disk, in bytes; `None`: plenty.
    Room(Option<usize>),
    /// The process dies, or the machine does.
    Die {
        power: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1_usize..12).prop_map(Step::Append),
        6 => Just(Step::Flush),
        3 => Just(Step::Sync),
        6 => (1_usize..20).prop_map(Step::Read),
        5 => (0_usize..=100).prop_map(Step::Acknowledge),
        2 => Just(Step::Save),
        1 => prop_oneof![Just(None), (0_usize..3000).prop_map(Some)].prop_map(Step::Room),
        3 => any::<bool>().prop_map(|power| Step::Die { power }),
    ]
}

/// What the spool owes, by the number of each record.
#[derive(Default)]
struct Ledger {
    appended: usize,
    /// Taken in, not yet flushed.
    pending: BTreeSet<usize>,
    /// Flushed, not yet synced: safe from the death of the process.
    flushed: BTreeSet<usize>,
    /// Synced: safe from a power cut.
    safe: BTreeSet<usize>,
    /// Given to the reader, with sequence numbers, since the last start.
    given: Vec<(usize, u64)>,
    /// Acknowledged.
    taken: BTreeSet<usize>,
    /// Acknowledged, and the cursor was saved since.
    over: BTreeSet<usize>,
}

impl Ledger {
    fn flush(&mut self) {
        self.flushed.append(&mut self.pending);
    }

    fn sync(&mut self) {
        self.flush();
        self.safe.append(&mut self.flushed);
    }
}

struct Spool {
    disk: Model,
    writer: Writer,
    reader: Reader,
}

impl Spool {
    fn open(disk: &Model) -> Self {
        // Small enough for many segments, with a budget that is never reached: what is over budget may go.
        let options = Options { budget: 16 << 20, segment: 3000, block: 400, sync_every: Duration::from_secs(3600) };
        let writer = Writer::open_on(Arc::new(disk.clone()), Path::new("/spool"), options, None).unwrap();
        let reader = writer.reader(READER).unwrap();
        Self { disk: disk.clone(), writer, reader }
    }
}

fn read(reader: &mut Reader, most: usize) -> Vec<(usize, u64)> {
    let batch = reader.read(most, usize::MAX).unwrap();
    let numbers = batch.iter().map(|found| {
        let number = number(found);
        assert_eq!(found, record(number), "a record came out changed");
        number
    });
    let numbers: Vec<_> = numbers.collect();
    numbers.into_iter().enumerate().map(|(at, number)| (number, batch.sequence(at + 1).unwrap())).collect()
}

fn run(steps: &[Step], mut random: impl FnMut(usize) -> usize) {
    let disk = Model::default();
    let mut spool = Spool::open(&disk);
    let mut ledger = Ledger::default();
    for step in steps {
        match step {
            Step::Append(count) => {
                for _ in 0..*count {
                    let number = ledger.appended;
                    ledger.appended += 1;
                    if spool.writer.append(&record(number)).is_ok() {
                        ledger.pending.insert(number);
                    }
                }
            }
            Step::Flush => {
                if spool.writer.flush().is_ok() {
                    ledger.flush();
                }
            }
            Step::Sync => {
                if spool.writer.sync().is_ok() {
                    ledger.sync();
                }
            }
            Step::Read(most) => ledger.given.extend(read(&mut spool.reader, *most)),
            Step::Acknowledge(percent) => {
                let count = ledger.given.len() * percent / 100;
                if let Some((_, sequence)) = count.checked_sub(1).map(|last| ledger.given[last]) {
                    // Fails where there is no room for the cursor; then it is not saved, and that is all.
                    let _ = spool.reader.acknowledge(sequence);
                    ledger.taken.extend(ledger.given.drain(..count).map(|(number, _)| number));
                }
            }
            Step::Save => {
                if spool.reader.save().is_ok() {
                    ledger.over.extend(&ledger.taken);
                }
            }
            Step::Room(room) => disk.set_room(*room),
            Step::Die { power } => {
                disk.set_room(None);
                die(&mut spool, &mut ledger, *power, &mut random);
            }
        }
    }
    disk.set_room(None);
    die(&mut spool, &mut ledger, true, &mut random);
}

/// Ends the spool without a farewell, opens it anew, and looks at all that it gives.
fn die(spool: &mut Spool, ledger: &mut Ledger, power: bool, random: &mut impl FnMut(usize) -> usize) {
    let disk = spool.disk.clone();
    if power {
        disk.cut(random);
    } else {
        // What was flushed is in the kernel's hands.
        ledger.safe.append(&mut ledger.flushed);
    }
    ledger.pending.clear();
    ledger.flushed.clear();
    ledger.given.clear();
    std::mem::forget(std::mem::replace(spool, Spool::open(&disk)));
    let mut came = Vec::new();
    loop {
        let more = read(&mut spool.reader, 50);
        if more.is_empty() {
            break;
        }
        came.extend(more);
    }
    assert!(came.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "out of order or twice: {came:?}");
    let came: BTreeSet<usize> = came.into_iter().map(|(number, _)| number).collect();
    let owed: BTreeSet<usize> = ledger.safe.difference(&ledger.taken).copied().collect();
    assert!(owed.is_subset(&came), "lost: {:?}", owed.difference(&came));
    assert!(came.is_disjoint(&ledger.over), "came although the cursor was saved behind it: {:?}", came.intersection(&ledger.over));
    // An opened spool has synced what it found. What was acknowledged and came all the same is owed anew.
    spool.reader.rewind();
    ledger.taken.retain(|number| !came.contains(number));
    ledger.safe.extend(came);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn what_was_synced_survives_every_power_cut_and_what_was_flushed_every_kill(
        steps in proptest::collection::vec(step(), 1..80),
        seed in 1_u64..,
    ) {
        let mut state = seed;
        run(&steps, |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % below
        });
    }
}
