//! Where a session's packets are: what `packetPos` says, in Arkime's coding `gap0`.
//!
//! ```text
//! -file  first  gap  gap | 0  …  -file  first  …        0: the same gap as before; the first offset of a file is no gap
//! ```
//!
//! A viewer takes a number below zero for a file, so that no gap may be negative or nothing: frames stand in ascending order
//! in a file, and where they did not, the file would be named again.

use crate::Position;

/// One packet of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where its record begins.
    pub position: Position,
    /// Bytes of the record, header included.
    pub length: u32,
}

/// The numbers of `packetPos`. Of files that are none of the sensor's own, the offsets as they are.
pub(super) fn coded(places: &[Place]) -> Vec<i64> {
    let mut numbers = Vec::new();
    let (mut file, mut last, mut last_gap) = (0, 0, 0);
    for Place { position, .. } in places {
        let offset = i64::try_from(position.offset).unwrap_or(i64::MAX);
        if position.file == 0 {
            numbers.push(offset);
            continue;
        }
        if position.file != file || offset <= last {
            file = position.file;
            (last, last_gap) = (0, 0);
            numbers.push(-i64::from(file));
        }
        let gap = offset - last;
        numbers.push(if gap == last_gap { 0 } else { gap });
        (last, last_gap) = (offset, gap);
    }
    numbers
}

/// The sensor's own files that packets are in, each once.
pub(super) fn files(places: &[Place]) -> Vec<i64> {
    let mut files = Vec::new();
    for place in places {
        let file = i64::from(place.position.file);
        if file != 0 && !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(of: &[(u32, &[u64])]) -> Vec<Place> {
        let place = |file, offset| Place { position: Position { file, offset }, length: 60 };
        of.iter().flat_map(|(file, offsets)| offsets.iter().map(move |offset| place(*file, *offset))).collect()
    }

    /// What Arkime's viewer does with it (viewer/db.js): pairs of file and offset.
    fn decoded(numbers: &[i64]) -> Vec<(i64, i64)> {
        let (mut file, mut last, mut last_gap) = (0, 0, 0);
        let mut out = Vec::new();
        for &number in numbers {
            if number < 0 {
                (file, last) = (-number, 0);
                continue;
            }
            if number != 0 {
                last_gap = number;
            }
            last += last_gap;
            out.push((file, last));
        }
        out
    }

    #[test]
    fn the_coding_is_that_of_arkimes_own_encoder() {
        // Made with Arkime 6.7's code.
        let two_files = places(&[(7, &[24, 114, 204, 294, 400]), (8, &[24, 48, 90])]);
        assert_eq!(coded(&two_files), [-7, 24, 90, 0, 0, 106, -8, 24, 0, 42]);
        assert_eq!(files(&two_files), [7, 8]);
    }

    #[test]
    fn what_is_coded_is_read_back_also_out_of_order_and_between_two_files() {
        for of in [
            places(&[(1, &[24, 48, 72, 96]), (2, &[24]), (1, &[120]), (2, &[48, 72])]),
            places(&[(3, &[500, 24, 24, 48])]),
            places(&[(3, &[24, 48]), (4, &[24, 48, 72])]),
        ] {
            let wanted: Vec<_> = of.iter().map(|place| (i64::from(place.position.file), place.position.offset as i64)).collect();
            assert_eq!(decoded(&coded(&of)), wanted);
        }
    }

    #[test]
    fn offsets_in_a_foreign_file_are_written_as_they_are() {
        assert_eq!(coded(&places(&[(0, &[24, 114, 204])])), [24, 114, 204]);
        assert_eq!(files(&places(&[(0, &[24, 114, 204])])), [0; 0]);
    }
}
