/* What every scenario shares: connections, unique names, messages, waiting, cleaning up. What goes wrong ends the program. */
#ifndef HARNESS_H
#define HARNESS_H

#include <amqp.h>
#include <amqp_framing.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *name;
  void (*run)(void);
} scenario;

extern const scenario connections[], exchanges[], publishing[], consuming[];

/* What came, with a body that ends with a zero. */
typedef struct {
  uint64_t tag;
  bool redelivered;
  char exchange[256], routing_key[256];
  amqp_message_t content;
  char *body;
} message;

/* Everything happens on channel 1 of a connection. */
#define CHANNEL 1

extern const char *uri;

#define check(condition, ...) \
  do {                        \
    if (!(condition)) fail(__FILE__, __LINE__, __VA_ARGS__); \
  } while (0)
#define equal_text(actual, expected) \
  check(!strcmp(actual, expected), "expected '%s', got '%s'", expected, actual)
#define equal(actual, expected) \
  check((actual) == (expected), "expected %lld, got %lld", (long long)(expected), (long long)(actual))

void fail(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));

/* An open connection with channel 1. */
amqp_connection_state_t connect_broker(void);
/* The answer to a login over a socket that is open. */
amqp_rpc_reply_t login(amqp_connection_state_t connection, const char *password);
struct amqp_connection_info parse_uri(const char *text);

/* The value of an environment variable; the scenario is skipped without it. */
const char *needed(const char *name);

/* Names that are the scenario's own, and are deleted at the end. */
amqp_bytes_t new_queue(amqp_connection_state_t connection, bool durable, amqp_table_t arguments);
amqp_bytes_t new_exchange(amqp_connection_state_t connection, const char *type, amqp_table_t arguments);
amqp_bytes_t new_name(const char *kind);
/* A server-named, exclusive queue. */
amqp_bytes_t private_queue(amqp_connection_state_t connection);
void bind_queue(amqp_connection_state_t connection, amqp_bytes_t queue, amqp_bytes_t exchange, const char *key);
void clean_up(void);

amqp_table_entry_t text_entry(const char *key, const char *value);
amqp_table_entry_t int_entry(const char *key, int32_t value);
#define TABLE(...)                                                                   \
  ((amqp_table_t){sizeof((amqp_table_entry_t[]){__VA_ARGS__}) / sizeof(amqp_table_entry_t), \
                  (amqp_table_entry_t[]){__VA_ARGS__}})
const amqp_field_value_t *field(const amqp_table_t *table, const char *key);

void publish(amqp_connection_state_t connection, amqp_bytes_t exchange, const char *key, const char *body,
             const amqp_basic_properties_t *properties);
void publish_to_queue(amqp_connection_state_t connection, amqp_bytes_t queue, const char *body);

/* The tag of a new consumer. */
amqp_bytes_t consume(amqp_connection_state_t connection, amqp_bytes_t queue, bool no_ack);
/* Wait for the next delivery. */
message next(amqp_connection_state_t connection);
/* Whether basic.get found something. */
bool get(amqp_connection_state_t connection, amqp_bytes_t queue, bool no_ack, message *found);
/* Wait until so many messages are ready. The count may lag behind earlier publishes. */
void wait_ready(amqp_connection_state_t connection, amqp_bytes_t queue, uint32_t count);
/* The bodies of all that is in the queue, with a space between two. */
const char *drain(amqp_connection_state_t connection, amqp_bytes_t queue);
/* The next frame, which has to be this method of channel 1. */
amqp_frame_t expect(amqp_connection_state_t connection, amqp_method_number_t method);

char *text(amqp_bytes_t bytes);
void ok(amqp_rpc_reply_t reply, const char *what);
/* The broker must close the channel with this code and text. */
void refused(amqp_rpc_reply_t reply, int code, const char *text);
/* What the broker said, as "CODE TEXT". */
const char *said(amqp_rpc_reply_t reply);

#endif
