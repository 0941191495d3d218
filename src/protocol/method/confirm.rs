//! Class `confirm`: RabbitMQ's acknowledgements to publishers.

super::layout::methods! {
    Confirm = 85;

    Select = 10 {} (nowait)
    SelectOk = 11 {}
}
