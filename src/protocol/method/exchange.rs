//! Class `exchange`, with RabbitMQ's bindings between exchanges.

super::layout::methods! {
    Exchange<'a> = 40;

    Declare<'a> = 10 [short] { exchange: shortstr<'a>, kind: shortstr<'a> }
        (passive, durable, auto_delete, internal, nowait) { arguments: table }
    DeclareOk = 11 {}
    Delete<'a> = 20 [short] { exchange: shortstr<'a> } (if_unused, nowait)
    DeleteOk = 21 {}
    Bind<'a> = 30 [short] {
        destination: shortstr<'a>, source: shortstr<'a>, routing_key: shortstr<'a>
    } (nowait) { arguments: table }
    BindOk = 31 {}
    Unbind<'a> = 40 [short] {
        destination: shortstr<'a>, source: shortstr<'a>, routing_key: shortstr<'a>
    } (nowait) { arguments: table }
    /// 51, not 41: a slip that became the protocol.
    UnbindOk = 51 {}
}
