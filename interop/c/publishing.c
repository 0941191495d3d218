#include "harness.h"

static void confirms(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_confirm_select(connection, CHANNEL);
  amqp_bytes_t queue = new_queue(connection, true, amqp_empty_table);
  amqp_basic_properties_t persistent = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
  for (int n = 0; n < 1000; n++) {
    char body[16];
    snprintf(body, sizeof body, "%d", n);
    publish(connection, amqp_empty_bytes, text(queue), body, &persistent);
  }
  bool confirmed[1001] = {0};
  for (int left = 1000; left > 0;) {
    amqp_frame_t frame = expect(connection, AMQP_BASIC_ACK_METHOD);
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    check(ack->delivery_tag >= 1 && ack->delivery_tag <= 1000, "a strange tag");
    for (uint64_t tag = ack->multiple ? 1 : ack->delivery_tag; tag <= ack->delivery_tag; tag++) {
      check(ack->multiple || !confirmed[tag], "confirmed twice");
      left -= !confirmed[tag];
      confirmed[tag] = true;
    }
    amqp_maybe_release_buffers(connection);
  }
  for (int n = 0; n < 1000; n++) {
    message found;
    check(get(connection, queue, true, &found), "there are %d messages", n);
    equal(atoi(found.body), n);
  }
}

static void nack(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_confirm_select(connection, CHANNEL);
  amqp_bytes_t queue =
      new_queue(connection, false, TABLE(int_entry("x-max-length", 1), text_entry("x-overflow", "reject-publish")));
  publish_to_queue(connection, queue, "fits");
  expect(connection, AMQP_BASIC_ACK_METHOD);
  publish_to_queue(connection, queue, "does not");
  amqp_frame_t frame = expect(connection, AMQP_BASIC_NACK_METHOD);
  equal(((amqp_basic_nack_t *)frame.payload.method.decoded)->delivery_tag, 2);
  equal_text(drain(connection, queue), "fits");
}

static void mandatory(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_confirm_select(connection, CHANNEL);
  amqp_basic_properties_t properties = {._flags = AMQP_BASIC_MESSAGE_ID_FLAG,
                                        .message_id = amqp_cstring_bytes("m-1")};
  amqp_basic_publish(connection, CHANNEL, amqp_cstring_bytes("amq.direct"), amqp_cstring_bytes("no such key"), true,
                     0, &properties, amqp_cstring_bytes("stray"));
  amqp_frame_t frame = expect(connection, AMQP_BASIC_RETURN_METHOD);
  amqp_basic_return_t *returned = frame.payload.method.decoded;
  equal(returned->reply_code, 312);
  equal_text(text(returned->reply_text), "NO_ROUTE");
  equal_text(text(returned->exchange), "amq.direct");
  equal_text(text(returned->routing_key), "no such key");
  amqp_message_t stray;
  ok(amqp_read_message(connection, CHANNEL, &stray, 0), "what comes back");
  equal_text(text(stray.body), "stray");
  equal_text(text(stray.properties.message_id), "m-1");
  expect(connection, AMQP_BASIC_ACK_METHOD);
}

#define ENTRY(name, type, member, ...) \
  { {sizeof name - 1, (char *)name}, {type, {.member = __VA_ARGS__}} }
#define TEXT(value) {sizeof value - 1, (char *)value}

static void header_types(void) {
  amqp_table_entry_t deep[] = {ENTRY("three", AMQP_FIELD_KIND_I32, i32, 3)};
  amqp_field_value_t items[] = {{AMQP_FIELD_KIND_I32, {.i32 = 1}},
                                {AMQP_FIELD_KIND_UTF8, {.bytes = TEXT("text")}},
                                {AMQP_FIELD_KIND_VOID, {0}},
                                {AMQP_FIELD_KIND_TABLE, {.table = {1, deep}}}};
  amqp_table_entry_t entries[] = {
      ENTRY("longstr", AMQP_FIELD_KIND_UTF8, bytes, TEXT("żółw 🐢")),
      ENTRY("empty string", AMQP_FIELD_KIND_UTF8, bytes, TEXT("")),
      ENTRY("binary", AMQP_FIELD_KIND_BYTES, bytes, TEXT("\0\377\376")),
      ENTRY("true", AMQP_FIELD_KIND_BOOLEAN, boolean, 1),
      ENTRY("int 8", AMQP_FIELD_KIND_I8, i8, INT8_MIN),
      ENTRY("uint 8", AMQP_FIELD_KIND_U8, u8, UINT8_MAX),
      ENTRY("int 16", AMQP_FIELD_KIND_I16, i16, INT16_MIN),
      ENTRY("uint 16", AMQP_FIELD_KIND_U16, u16, UINT16_MAX),
      ENTRY("int 32", AMQP_FIELD_KIND_I32, i32, INT32_MIN),
      ENTRY("uint 32", AMQP_FIELD_KIND_U32, u32, UINT32_MAX),
      ENTRY("int 64", AMQP_FIELD_KIND_I64, i64, INT64_MIN),
      ENTRY("float", AMQP_FIELD_KIND_F32, f32, 1.5),
      ENTRY("double", AMQP_FIELD_KIND_F64, f64, 3.141592653589793),
      ENTRY("decimal", AMQP_FIELD_KIND_DECIMAL, decimal, {2, 1234}),
      ENTRY("timestamp", AMQP_FIELD_KIND_TIMESTAMP, u64, 981173106),
      ENTRY("void", AMQP_FIELD_KIND_VOID, u8, 0),
      ENTRY("table", AMQP_FIELD_KIND_TABLE, table, {1, deep}),
      ENTRY("array", AMQP_FIELD_KIND_ARRAY, array, {4, items}),
  };
  amqp_table_t sent = {sizeof entries / sizeof *entries, entries};

  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t queue = new_queue(connection, false, amqp_empty_table);
  amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG, .headers = sent};
  publish(connection, amqp_empty_bytes, text(queue), "", &properties);
  message found;
  check(get(connection, queue, true, &found), "there is no message");

  /* As encoded, both are the same octet by octet, and so have the same types. */
  char one[4096], other[4096];
  size_t one_end = 0, other_end = 0;
  equal(amqp_encode_table((amqp_bytes_t){sizeof one, one}, &sent, &one_end), AMQP_STATUS_OK);
  equal(amqp_encode_table((amqp_bytes_t){sizeof other, other}, &found.content.properties.headers, &other_end),
        AMQP_STATUS_OK);
  equal(other_end, one_end);
  check(!memcmp(one, other, one_end), "the headers came back changed");
}

static void large_body(void) {
  size_t size = 10 * 1024 * 1024;
  char *body = malloc(size + 1);
  for (size_t n = 0; n < size; n++) body[n] = 'a' + (n * 7 + n / 251) % 23;
  body[size] = 0;
  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t queue = new_queue(connection, false, amqp_empty_table);
  publish_to_queue(connection, queue, body);
  message found;
  check(get(connection, queue, true, &found), "there is no message");
  check(!strcmp(found.body, body), "the body came back changed");
}

static void direct_reply_to(void) {
  amqp_connection_state_t server = connect_broker(), client = connect_broker();
  amqp_bytes_t requests = new_queue(server, false, amqp_empty_table);
  consume(server, requests, true);
  consume(client, amqp_cstring_bytes("amq.rabbitmq.reply-to"), true);
  for (int n = 1; n <= 3; n++) {
    char body[16];
    snprintf(body, sizeof body, "%d", n);
    amqp_basic_properties_t asking = {._flags = AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG,
                                      .reply_to = amqp_cstring_bytes("amq.rabbitmq.reply-to"),
                                      .correlation_id = amqp_cstring_bytes(body)};
    publish(client, amqp_empty_bytes, text(requests), body, &asking);

    message request = next(server);
    amqp_basic_properties_t answering = {._flags = AMQP_BASIC_CORRELATION_ID_FLAG,
                                         .correlation_id = request.content.properties.correlation_id};
    snprintf(body, sizeof body, "%d", 2 * atoi(request.body));
    publish(server, amqp_empty_bytes, text(request.content.properties.reply_to), body, &answering);

    message reply = next(client);
    equal(atoi(reply.body), 2 * n);
    equal(atoi(text(reply.content.properties.correlation_id)), n);
    check(!strncmp(reply.routing_key, "amq.rabbitmq.reply-to.", 22), "routing key %s", reply.routing_key);
  }
}

const scenario publishing[] = {{"tutorial_7_confirms_in_batches", confirms},
                               {"full_queue_that_rejects_nacks_the_publish", nack},
                               {"mandatory_message_is_returned_before_its_ack", mandatory},
                               {"every_header_type_survives", header_types},
                               {"large_body_10_mib", large_body},
                               {"direct_reply_to", direct_reply_to},
                               {0}};
