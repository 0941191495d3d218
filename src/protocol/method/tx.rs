//! Class `tx`: transactions of one channel.

super::layout::methods! {
    Tx = 90;

    Select = 10 {}
    SelectOk = 11 {}
    Commit = 20 {}
    CommitOk = 21 {}
    Rollback = 30 {}
    RollbackOk = 31 {}
}
