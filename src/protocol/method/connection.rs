//! Class `connection`: the handshake, its end, and notices that concern all channels.

super::layout::methods! {
    Connection<'a> = 10;

    Start<'a> = 10 {
        version_major: octet, version_minor: octet, server_properties: table,
        mechanisms: longstr<'a>, locales: longstr<'a>
    }
    StartOk<'a> = 11 {
        client_properties: table, mechanism: shortstr<'a>, response: longstr<'a>,
        locale: shortstr<'a>
    }
    Secure<'a> = 20 { challenge: longstr<'a> }
    SecureOk<'a> = 21 { response: longstr<'a> }
    Tune = 30 { channel_max: short, frame_max: long, heartbeat: short }
    TuneOk = 31 { channel_max: short, frame_max: long, heartbeat: short }
    Open<'a> = 40 { virtual_host: shortstr<'a> } [shortstr, octet]
    OpenOk = 41 [shortstr] {}
    Close<'a> = 50 {
        reply_code: short, reply_text: shortstr<'a>, class_id: short, method_id: short
    }
    CloseOk = 51 {}
    /// RabbitMQ's: publishers are held back.
    Blocked<'a> = 60 { reason: shortstr<'a> }
    /// RabbitMQ's: publishers may go on.
    Unblocked = 61 {}
    /// RabbitMQ's: a fresh credential for a connection that is open.
    UpdateSecret<'a> = 70 { new_secret: longstr<'a>, reason: shortstr<'a> }
    UpdateSecretOk = 71 {}
}
