#include "harness.h"

static void publish_numbers(amqp_connection_state_t connection, amqp_bytes_t queue, int last) {
  for (int n = 1; n <= last; n++) {
    char body[16];
    snprintf(body, sizeof body, "%d", n);
    publish_to_queue(connection, queue, body);
  }
}

static void prefetch(void) {
  amqp_connection_state_t publisher = connect_broker(), first = connect_broker(), second = connect_broker();
  amqp_bytes_t queue = new_queue(publisher, false, amqp_empty_table);
  for (int n = 0; n < 2; n++) {
    amqp_connection_state_t consumer = n ? second : first;
    amqp_basic_qos(consumer, CHANNEL, 0, 2, 0);
    consume(consumer, queue, false);
  }
  publish_numbers(publisher, queue, 10);
  message oldest = next(first);
  next(first), next(second), next(second);
  wait_ready(publisher, queue, 6);
  equal(amqp_basic_ack(first, CHANNEL, oldest.tag, 0), AMQP_STATUS_OK);
  next(first);
  wait_ready(publisher, queue, 5);
}

static void nack(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t queue = new_queue(connection, false, amqp_empty_table);
  publish_numbers(connection, queue, 5);
  message taken[4], again;
  for (int n = 0; n < 4; n++) {
    check(get(connection, queue, false, &taken[n]), "there are %d messages", n);
    equal(taken[n].redelivered, false);
  }
  amqp_basic_nack(connection, CHANNEL, taken[3].tag, 0, true);
  amqp_basic_reject(connection, CHANNEL, taken[1].tag, true);
  const char *expected[] = {"2", "4", "5"};
  for (int n = 0; n < 3; n++) {
    check(get(connection, queue, true, &again), "there are %d messages", n);
    equal_text(again.body, expected[n]);
    equal(again.redelivered, n < 2);
  }
}

static void deleted_queue(void) {
  amqp_connection_state_t consumer = connect_broker(), other = connect_broker();
  amqp_bytes_t queue = new_queue(other, false, amqp_empty_table), tag = consume(consumer, queue, false);
  amqp_queue_delete(other, CHANNEL, queue, 0, 0);
  amqp_frame_t frame = expect(consumer, AMQP_BASIC_CANCEL_METHOD);
  equal_text(text(((amqp_basic_cancel_t *)frame.payload.method.decoded)->consumer_tag), text(tag));
  private_queue(consumer);
}

static void cancel(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t queue = new_queue(connection, false, amqp_empty_table), tag = consume(connection, queue, false);
  publish_to_queue(connection, queue, "before");
  message first = next(connection);
  amqp_basic_cancel(connection, CHANNEL, tag);
  ok(amqp_get_rpc_reply(connection), "cancelling");
  publish_to_queue(connection, queue, "after");
  amqp_basic_ack(connection, CHANNEL, first.tag, 0);
  equal_text(drain(connection, queue), "after");
}

static void exclusive(void) {
  amqp_connection_state_t owner = connect_broker();
  amqp_bytes_t queue = new_name("queue");
  amqp_queue_declare(owner, CHANNEL, queue, 0, 0, 1, 0, amqp_empty_table);
  ok(amqp_get_rpc_reply(owner), "declaring");
  char expected[500];
  snprintf(expected, sizeof expected,
           "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'. It could be originally "
           "declared on another connection or the exclusive property value does not match that of the original "
           "declaration.",
           text(queue));
  for (int attempt = 0; attempt < 6; attempt++) {
    amqp_connection_state_t other = connect_broker();
    switch (attempt) {
      case 0: amqp_queue_declare(other, CHANNEL, queue, 0, 0, 1, 0, amqp_empty_table); break;
      case 1: amqp_queue_declare(other, CHANNEL, queue, 1, 0, 0, 0, amqp_empty_table); break;
      case 2: amqp_basic_consume(other, CHANNEL, queue, amqp_empty_bytes, 0, 0, 0, amqp_empty_table); break;
      case 3: amqp_queue_purge(other, CHANNEL, queue); break;
      case 4: amqp_queue_delete(other, CHANNEL, queue, 0, 0); break;
      case 5: amqp_basic_get(other, CHANNEL, queue, 0); break;
    }
    refused(amqp_get_rpc_reply(other), 405, expected);
  }
}

static void dead_letter(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t graveyard = new_queue(connection, false, amqp_empty_table);
  amqp_bytes_t queue = new_queue(
      connection, false,
      TABLE(int_entry("x-message-ttl", 50), text_entry("x-dead-letter-exchange", ""),
            text_entry("x-dead-letter-routing-key", text(graveyard))));
  consume(connection, graveyard, true);
  publish_to_queue(connection, queue, "short life");
  message dead = next(connection);
  equal_text(dead.body, "short life");
  const amqp_field_value_t *deaths = field(&dead.content.properties.headers, "x-death");
  equal(deaths->kind, AMQP_FIELD_KIND_ARRAY);
  equal(deaths->value.array.num_entries, 1);
  const amqp_table_t *death = &deaths->value.array.entries[0].value.table;
  equal_text(text(field(death, "queue")->value.bytes), text(queue));
  equal_text(text(field(death, "reason")->value.bytes), "expired");
  equal_text(text(field(death, "exchange")->value.bytes), "");
  equal(field(death, "count")->kind, AMQP_FIELD_KIND_I64);
  equal(field(death, "count")->value.i64, 1);
  equal_text(text(field(death, "routing-keys")->value.array.entries[0].value.bytes), text(queue));
}

static void priority(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t queue = new_queue(connection, false, TABLE(int_entry("x-max-priority", 5)));
  const char *priorities[] = {"1", "5", "0", "3", "5"};
  for (int n = 0; n < 5; n++) {
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_PRIORITY_FLAG, .priority = atoi(priorities[n])};
    publish(connection, amqp_empty_bytes, text(queue), priorities[n], &properties);
  }
  equal_text(drain(connection, queue), "5 5 3 1 0");
}

const scenario consuming[] = {{"prefetch_per_consumer", prefetch},
                              {"nacked_messages_return_to_their_places", nack},
                              {"consumer_is_told_when_its_queue_is_deleted", deleted_queue},
                              {"cancelled_consumer_gets_no_more", cancel},
                              {"exclusive_queue_is_locked_for_others_405", exclusive},
                              {"expired_message_is_dead_lettered", dead_letter},
                              {"priority_queue_serves_the_highest_first", priority},
                              {0}};
