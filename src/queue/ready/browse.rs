//! Looking through what is ready, and taking single messages out.

use super::{LINE_SHIFT, LineIndex, Ready};
use crate::message::{Position, Queued};
use crate::queue::browse::{Browsed, Place};
use crate::queue::line::Behind;
use crate::queue::within;
use crate::storage::{Figures, Segment};

impl Ready {
    /// What comes next for somebody who looks through, at most `max` messages, and moves the place on.
    pub(in crate::queue) fn browse(&self, place: &mut Place, max: usize) -> Browsed {
        let mut found = Vec::new();
        if let Place::Returned(seen) = place {
            let returned = self.quorum.iter().flat_map(|quorum| &quorum.returned);
            found.extend(returned.skip(*seen).take(max).cloned());
            if found.len() == max {
                *seen += max;
                return Browsed::Messages(found);
            }
            *place = Place::After(before(self.lines.len().saturating_sub(1)));
        }
        let Place::After(after) = place else { return Browsed::Messages(found) };
        let first = self.line_at(*after);
        for index in (0..=first).rev() {
            let Some((line, _)) = self.lines.get(index) else { continue };
            if index < first {
                *after = before(index);
            }
            for behind in line.behind(*after) {
                match behind {
                    _ if found.len() == max => return Browsed::Messages(found),
                    Behind::Message(queued) => {
                        *after = queued.position;
                        found.push(queued.clone());
                    }
                    Behind::Segment(segment) if found.is_empty() => {
                        return Browsed::OnDisk(segment.clone());
                    }
                    Behind::Segment(_) => return Browsed::Messages(found),
                }
            }
        }
        if found.is_empty() { Browsed::End } else { Browsed::Messages(found) }
    }

    /// Takes out what is in memory at these positions, which are sorted, in delivery order, and says
    /// which segments hold others of them.
    pub(in crate::queue) fn take(&mut self, wanted: &[(u64, u64)]) -> (Vec<Queued>, Vec<Segment>) {
        let (mut taken, mut on_disk) = (Vec::new(), Vec::new());
        if let Some(quorum) = &mut self.quorum {
            quorum.returned.retain(|queued| {
                let is_wanted = within(wanted, queued.position);
                if is_wanted {
                    taken.push(queued.clone());
                }
                !is_wanted
            });
        }
        for index in (0..self.lines.len()).rev() {
            on_disk.extend(
                self.change(index, |line| line.take(wanted, &mut taken)).unwrap_or_default(),
            );
        }
        self.figures.remove_all(Figures::of(&taken));
        (taken, on_disk)
    }

    /// Takes messages out of a segment that stays where it is: they are not there any more for whoever
    /// reads it. False when it is not waiting any more.
    pub(in crate::queue) fn take_from(&mut self, segment: &Segment, gone: &[Queued]) -> bool {
        let index: LineIndex = self.line_at(segment.last);
        let Some((line, _)) = self.lines.get_mut(index) else { return false };
        let Some(waiting) = line.segment_mut(segment.number) else { return false };
        let gone = Figures::of(gone);
        waiting.figures.remove_all(gone);
        self.figures.remove_all(gone);
        self.on_disk.remove_all(gone);
        true
    }
}

/// The place before everything in a line.
fn before(line: LineIndex) -> Position {
    Position((line as u64) << LINE_SHIFT)
}
