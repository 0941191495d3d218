//! Class `channel`: opening and closing one, and pausing its deliveries.

super::layout::methods! {
    Channel<'a> = 20;

    Open = 10 [shortstr] {}
    OpenOk = 11 [longstr] {}
    Flow = 20 {} (active)
    FlowOk = 21 {} (active)
    Close<'a> = 40 {
        reply_code: short, reply_text: shortstr<'a>, class_id: short, method_id: short
    }
    CloseOk = 41 {}
}
