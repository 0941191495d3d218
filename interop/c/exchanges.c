#include "harness.h"

static void hello_world(void) {
  amqp_connection_state_t sender = connect_broker(), receiver = connect_broker();
  amqp_bytes_t queue = new_queue(sender, false, amqp_empty_table);
  consume(receiver, queue, true);
  publish_to_queue(sender, queue, "Hello World!");
  message found = next(receiver);
  equal_text(found.body, "Hello World!");
  equal_text(found.exchange, "");
  equal_text(found.routing_key, text(queue));
  equal(found.redelivered, false);
}

static void publish_subscribe(void) {
  amqp_connection_state_t sender = connect_broker(), readers[3];
  amqp_bytes_t logs = new_exchange(sender, "fanout", amqp_empty_table);
  for (int n = 0; n < 3; n++) {
    readers[n] = connect_broker();
    amqp_bytes_t queue = private_queue(readers[n]);
    bind_queue(readers[n], queue, logs, "");
    consume(readers[n], queue, true);
  }
  publish(sender, logs, "the key is ignored", "one", NULL);
  publish(sender, logs, "the key is ignored", "two", NULL);
  for (int n = 0; n < 3; n++) {
    equal_text(next(readers[n]).body, "one");
    equal_text(next(readers[n]).body, "two");
  }
}

static void routing(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t logs = new_exchange(connection, "direct", amqp_empty_table);
  amqp_bytes_t disk = private_queue(connection), screen = private_queue(connection);
  bind_queue(connection, disk, logs, "error");
  const char *severities[] = {"info", "debug", "error", "warning"};
  for (int n = 0; n < 4; n++)
    if (n != 1) bind_queue(connection, screen, logs, severities[n]);
  for (int n = 0; n < 4; n++) publish(connection, logs, severities[n], severities[n], NULL);
  equal_text(drain(connection, disk), "error");
  equal_text(drain(connection, screen), "info error warning");
}

static void topics(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t animals = new_exchange(connection, "topic", amqp_empty_table);
  const char *expected[][2] = {
      {"*.orange.*", "quick.orange.rabbit lazy.orange.elephant"},
      {"*.*.rabbit", "quick.orange.rabbit"},
      {"lazy.#", "lazy.orange.elephant lazy.brown.fox lazy"},
      {"#", "quick.orange.rabbit lazy.orange.elephant lazy.brown.fox orange lazy"},
  };
  amqp_bytes_t queues[4];
  for (int n = 0; n < 4; n++) {
    queues[n] = private_queue(connection);
    bind_queue(connection, queues[n], animals, expected[n][0]);
  }
  const char *keys[] = {"quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox", "orange", "lazy"};
  for (int n = 0; n < 5; n++) publish(connection, animals, keys[n], keys[n], NULL);
  for (int n = 0; n < 4; n++) equal_text(drain(connection, queues[n]), expected[n][1]);
}

static void publish_with_headers(amqp_connection_state_t connection, amqp_bytes_t exchange, const char *body,
                                 amqp_table_t headers) {
  amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG, .headers = headers};
  publish(connection, exchange, "", body, &properties);
}

static void headers(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t exchange = new_exchange(connection, "headers", amqp_empty_table), queues[2];
  const char *matches[] = {"all", "any"};
  for (int n = 0; n < 2; n++) {
    queues[n] = private_queue(connection);
    amqp_queue_bind(
        connection, CHANNEL, queues[n], exchange, amqp_empty_bytes,
        TABLE(text_entry("x-match", matches[n]), text_entry("format", "pdf"), int_entry("pages", 3)));
    ok(amqp_get_rpc_reply(connection), "binding");
  }
  publish_with_headers(connection, exchange, "both",
                       TABLE(text_entry("format", "pdf"), int_entry("pages", 3), text_entry("more", "x")));
  publish_with_headers(connection, exchange, "one", TABLE(text_entry("format", "pdf"), int_entry("pages", 4)));
  publish_with_headers(connection, exchange, "string is not a number", TABLE(text_entry("pages", "3")));
  publish(connection, exchange, "", "no headers", NULL);
  equal_text(drain(connection, queues[0]), "both");
  equal_text(drain(connection, queues[1]), "both one");
}

static void alternate(void) {
  amqp_connection_state_t connection = connect_broker();
  amqp_bytes_t strays = new_exchange(connection, "fanout", amqp_empty_table);
  amqp_bytes_t main = new_exchange(connection, "direct", TABLE(text_entry("alternate-exchange", text(strays))));
  amqp_bytes_t routed = private_queue(connection), unrouted = private_queue(connection);
  bind_queue(connection, routed, main, "known");
  bind_queue(connection, unrouted, strays, "");
  publish(connection, main, "known", "known", NULL);
  publish(connection, main, "unknown", "unknown", NULL);
  equal_text(drain(connection, routed), "known");
  message stray;
  check(get(connection, unrouted, true, &stray), "the stray is not there");
  equal_text(stray.body, "unknown");
  equal_text(stray.exchange, text(main));
}

const scenario exchanges[] = {{"tutorial_1_hello_world", hello_world},
                              {"tutorial_3_publish_subscribe", publish_subscribe},
                              {"tutorial_4_routing", routing},
                              {"tutorial_5_topics", topics},
                              {"headers_exchange_all_and_any", headers},
                              {"alternate_exchange_takes_the_unroutable", alternate},
                              {0}};
