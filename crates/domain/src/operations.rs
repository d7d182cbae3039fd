//! Work updates and problems: their states and transitions.

use crate::message::text_enum;
use serde::{Deserialize, Serialize};

text_enum! {
    RecordKind {
        WorkUpdate = 1, "work_update";
        Problem = 2, "problem";
    }
}

text_enum! {
    /// How grave a problem is; the codes rise with it.
    Severity {
        Low = 1, "low";
        Medium = 2, "medium";
        High = 3, "high";
        Critical = 4, "critical";
    }
}

text_enum! {
    /// Where a problem stands. Work updates have none.
    ProblemStatus {
        Open = 1, "open";
        Acknowledged = 2, "acknowledged";
        InProgress = 3, "in_progress";
        Resolved = 4, "resolved";
        Closed = 5, "closed";
        Reopened = 6, "reopened";
    }
}

impl ProblemStatus {
    /// Somebody still has to do something.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Resolved | Self::Closed)
    }

    /// Whether a problem may go from here to `next`. Staying is no change.
    pub const fn may_become(self, next: Self) -> bool {
        use ProblemStatus::{Acknowledged, Closed, InProgress, Open, Reopened, Resolved};
        matches!(
            (self, next),
            (Open | Reopened, Acknowledged | InProgress | Resolved | Closed)
                | (Acknowledged, InProgress | Resolved | Closed)
                | (InProgress, Acknowledged | Resolved | Closed)
                | (Resolved, Closed | Reopened)
                | (Closed, Reopened)
        )
    }
}

text_enum! {
    /// When in the course of the work a file was taken.
    EvidenceStage {
        Report = 1, "report";
        Before = 2, "before";
        After = 3, "after";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ProblemStatus; 6] = [
        ProblemStatus::Open,
        ProblemStatus::Acknowledged,
        ProblemStatus::InProgress,
        ProblemStatus::Resolved,
        ProblemStatus::Closed,
        ProblemStatus::Reopened,
    ];

    #[test]
    fn what_is_done_comes_back_only_as_reopened() {
        for from in ALL.into_iter().filter(|status| !status.is_open()) {
            for to in ALL.into_iter().filter(|status| status.is_open() && from.may_become(*status)) {
                assert_eq!(to, ProblemStatus::Reopened, "{from:?}");
            }
        }
        assert!(ALL.into_iter().all(|status| !status.may_become(ProblemStatus::Open)));
        assert!(ALL.into_iter().all(|status| !status.may_become(status)));
    }
}
