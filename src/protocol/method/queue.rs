//! Class `queue`.

super::layout::methods! {
    Queue<'a> = 50;

    Declare<'a> = 10 [short] { queue: shortstr<'a> }
        (passive, durable, exclusive, auto_delete, nowait) { arguments: table }
    DeclareOk<'a> = 11 { queue: shortstr<'a>, message_count: long, consumer_count: long }
    Bind<'a> = 20 [short] {
        queue: shortstr<'a>, exchange: shortstr<'a>, routing_key: shortstr<'a>
    } (nowait) { arguments: table }
    BindOk = 21 {}
    Purge<'a> = 30 [short] { queue: shortstr<'a> } (nowait)
    PurgeOk = 31 { message_count: long }
    Delete<'a> = 40 [short] { queue: shortstr<'a> } (if_unused, if_empty, nowait)
    DeleteOk = 41 { message_count: long }
    /// Has no nowait, unlike bind.
    Unbind<'a> = 50 [short] {
        queue: shortstr<'a>, exchange: shortstr<'a>, routing_key: shortstr<'a>, arguments: table
    }
    UnbindOk = 51 {}
}
