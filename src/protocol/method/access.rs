//! Class `access`: the tickets of AMQP 0-8, which old clients still ask for and nobody reads.

super::layout::methods! {
    Access<'a> = 30;

    Request<'a> = 10 { realm: shortstr<'a> } (exclusive, passive, active, write, read)
    RequestOk = 11 { ticket: short }
}
