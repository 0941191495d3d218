#include "harness.h"

#include <amqp_tcp_socket.h>
#include <stdarg.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

const char *uri;

static const struct timeval DEADLINE = {50, 0};

static amqp_bytes_t queues[16], exchange_names[16];
static int queue_count, exchange_count;

/* `scenarios --list` names the scenarios; `scenarios NAME` runs one against $AMQP_URI. */
int main(int count, char **arguments) {
  const scenario *all[] = {connections, exchanges, publishing, consuming};
  check(count == 2, "say --list or the name of a scenario");
  uri = getenv("AMQP_URI");
  for (size_t n = 0; n < sizeof all / sizeof *all; n++)
    for (const scenario *each = all[n]; each->name; each++) {
      if (!strcmp(arguments[1], "--list")) {
        puts(each->name);
      } else if (!strcmp(arguments[1], each->name)) {
        each->run();
        clean_up();
      }
    }
}

void fail(const char *file, int line, const char *format, ...) {
  static bool failing;
  va_list rest;
  va_start(rest, format);
  fprintf(stderr, "%s:%d: ", file, line);
  vfprintf(stderr, format, rest);
  fputc('\n', stderr);
  va_end(rest);
  if (!failing) {
    failing = true;
    clean_up();
  }
  exit(1);
}

const char *needed(const char *name) {
  const char *value = getenv(name);
  if (!value || !*value) {
    printf("it needs %s\n", name);
    exit(77);
  }
  return value;
}

/* --- Connections --- */

struct amqp_connection_info parse_uri(const char *text) {
  struct amqp_connection_info info;
  check(!amqp_parse_url(strdup(text), &info), "a strange URI: %s", text);
  return info;
}

amqp_rpc_reply_t login(amqp_connection_state_t connection, const char *password) {
  struct amqp_connection_info info = parse_uri(uri);
  /* The library does not say by itself that it knows what a basic.cancel from the broker is. */
  amqp_table_entry_t capability = {amqp_cstring_bytes("consumer_cancel_notify"),
                                   {AMQP_FIELD_KIND_BOOLEAN, {.boolean = 1}}};
  amqp_table_entry_t capabilities = {amqp_cstring_bytes("capabilities"),
                                     {AMQP_FIELD_KIND_TABLE, {.table = {1, &capability}}}};
  amqp_table_t properties = {1, &capabilities};
  return amqp_login_with_properties(connection, info.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, &properties,
                                    AMQP_SASL_METHOD_PLAIN, info.user, password ? password : info.password);
}

amqp_connection_state_t connect_broker(void) {
  struct amqp_connection_info info = parse_uri(uri);
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  check(!amqp_socket_open(socket, info.host, info.port), "nobody listens at %s", uri);
  amqp_set_rpc_timeout(connection, &DEADLINE);
  ok(login(connection, NULL), "login");
  amqp_channel_open(connection, CHANNEL);
  ok(amqp_get_rpc_reply(connection), "opening a channel");
  return connection;
}

void clean_up(void) {
  if (!queue_count && !exchange_count) return;
  amqp_connection_state_t connection = connect_broker();
  while (queue_count) amqp_queue_delete(connection, CHANNEL, queues[--queue_count], 0, 0);
  while (exchange_count) amqp_exchange_delete(connection, CHANNEL, exchange_names[--exchange_count], 0);
  ok(amqp_connection_close(connection, AMQP_REPLY_SUCCESS), "closing");
}

/* --- Declaring --- */

amqp_bytes_t new_name(const char *kind) {
  uint64_t number;
  check(getrandom(&number, sizeof number, 0) == sizeof number, "no random numbers");
  char name[64];
  snprintf(name, sizeof name, "interop.%s.%016llx", kind, (unsigned long long)number);
  return amqp_bytes_malloc_dup(amqp_cstring_bytes(name));
}

amqp_bytes_t new_queue(amqp_connection_state_t connection, bool durable, amqp_table_t arguments) {
  amqp_bytes_t name = queues[queue_count++] = new_name("queue");
  amqp_queue_declare(connection, CHANNEL, name, 0, durable, 0, 0, arguments);
  ok(amqp_get_rpc_reply(connection), "declaring a queue");
  return name;
}

amqp_bytes_t new_exchange(amqp_connection_state_t connection, const char *type, amqp_table_t arguments) {
  amqp_bytes_t name = exchange_names[exchange_count++] = new_name(type);
  amqp_exchange_declare(connection, CHANNEL, name, amqp_cstring_bytes(type), 0, 0, 0, 0, arguments);
  ok(amqp_get_rpc_reply(connection), "declaring an exchange");
  return name;
}

amqp_bytes_t private_queue(amqp_connection_state_t connection) {
  amqp_queue_declare_ok_t *declared =
      amqp_queue_declare(connection, CHANNEL, amqp_empty_bytes, 0, 0, 1, 0, amqp_empty_table);
  ok(amqp_get_rpc_reply(connection), "declaring a queue");
  return amqp_bytes_malloc_dup(declared->queue);
}

void bind_queue(amqp_connection_state_t connection, amqp_bytes_t queue, amqp_bytes_t exchange, const char *key) {
  amqp_queue_bind(connection, CHANNEL, queue, exchange, amqp_cstring_bytes(key), amqp_empty_table);
  ok(amqp_get_rpc_reply(connection), "binding a queue");
}

amqp_table_entry_t text_entry(const char *key, const char *value) {
  return (amqp_table_entry_t){amqp_cstring_bytes(key),
                              {AMQP_FIELD_KIND_UTF8, {.bytes = amqp_cstring_bytes(value)}}};
}

amqp_table_entry_t int_entry(const char *key, int32_t value) {
  return (amqp_table_entry_t){amqp_cstring_bytes(key), {AMQP_FIELD_KIND_I32, {.i32 = value}}};
}

const amqp_field_value_t *field(const amqp_table_t *table, const char *key) {
  for (int n = 0; n < table->num_entries; n++)
    if (!strcmp(text(table->entries[n].key), key)) return &table->entries[n].value;
  fail(__FILE__, __LINE__, "there is no '%s'", key);
}

/* --- Messages --- */

void publish(amqp_connection_state_t connection, amqp_bytes_t exchange, const char *key, const char *body,
             const amqp_basic_properties_t *properties) {
  equal(amqp_basic_publish(connection, CHANNEL, exchange, amqp_cstring_bytes(key), 0, 0, properties,
                           amqp_cstring_bytes(body)),
        AMQP_STATUS_OK);
}

void publish_to_queue(amqp_connection_state_t connection, amqp_bytes_t queue, const char *body) {
  publish(connection, amqp_empty_bytes, text(queue), body, NULL);
}

amqp_bytes_t consume(amqp_connection_state_t connection, amqp_bytes_t queue, bool no_ack) {
  amqp_basic_consume_ok_t *consuming =
      amqp_basic_consume(connection, CHANNEL, queue, amqp_empty_bytes, 0, no_ack, 0, amqp_empty_table);
  ok(amqp_get_rpc_reply(connection), "consuming");
  return amqp_bytes_malloc_dup(consuming->consumer_tag);
}

static void put_text(char to[256], amqp_bytes_t from) { snprintf(to, 256, "%.*s", (int)from.len, (char *)from.bytes); }

message next(amqp_connection_state_t connection) {
  amqp_envelope_t envelope;
  ok(amqp_consume_message(connection, &envelope, &DEADLINE, 0), "the next delivery");
  message found = {.tag = envelope.delivery_tag, .redelivered = envelope.redelivered, .content = envelope.message};
  put_text(found.exchange, envelope.exchange);
  put_text(found.routing_key, envelope.routing_key);
  found.body = text(envelope.message.body);
  return found;
}

bool get(amqp_connection_state_t connection, amqp_bytes_t queue, bool no_ack, message *found) {
  amqp_rpc_reply_t reply = amqp_basic_get(connection, CHANNEL, queue, no_ack);
  ok(reply, "basic.get");
  if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD) return false;
  amqp_basic_get_ok_t *answer = reply.reply.decoded;
  found->tag = answer->delivery_tag;
  found->redelivered = answer->redelivered;
  put_text(found->exchange, answer->exchange);
  put_text(found->routing_key, answer->routing_key);
  ok(amqp_read_message(connection, CHANNEL, &found->content, 0), "what basic.get found");
  found->body = text(found->content.body);
  return true;
}

void wait_ready(amqp_connection_state_t connection, amqp_bytes_t queue, uint32_t count) {
  time_t end = time(NULL) + DEADLINE.tv_sec;
  for (;;) {
    amqp_queue_declare_ok_t *found = amqp_queue_declare(connection, CHANNEL, queue, 1, 0, 0, 0, amqp_empty_table);
    ok(amqp_get_rpc_reply(connection), "counting messages");
    if (found->message_count == count) return;
    check(time(NULL) < end, "timed out waiting until %u messages are ready", count);
    usleep(5000);
  }
}

const char *drain(amqp_connection_state_t connection, amqp_bytes_t queue) {
  char *all = calloc(1, 1);
  for (message found; get(connection, queue, true, &found);) {
    all = realloc(all, strlen(all) + strlen(found.body) + 2);
    if (*all) strcat(all, " ");
    strcat(all, found.body);
  }
  return all;
}

amqp_frame_t expect(amqp_connection_state_t connection, amqp_method_number_t method) {
  amqp_frame_t frame;
  struct timeval deadline = DEADLINE;
  equal(amqp_simple_wait_frame_noblock(connection, &frame, &deadline), AMQP_STATUS_OK);
  equal(frame.frame_type, AMQP_FRAME_METHOD);
  check(frame.payload.method.id == method, "expected %s, got %s", amqp_method_name(method),
        amqp_method_name(frame.payload.method.id));
  return frame;
}

char *text(amqp_bytes_t bytes) { return strndup(bytes.bytes ? bytes.bytes : "", bytes.len); }

/* --- Answers --- */

const char *said(amqp_rpc_reply_t reply) {
  static char buffer[600];
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return "nothing";
  if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION) return amqp_error_string2(reply.library_error);
  if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    amqp_channel_close_t *close = reply.reply.decoded;
    snprintf(buffer, sizeof buffer, "%u %s", close->reply_code, text(close->reply_text));
  } else {
    amqp_connection_close_t *close = reply.reply.decoded;
    snprintf(buffer, sizeof buffer, "%u %s", close->reply_code, text(close->reply_text));
  }
  return buffer;
}

void ok(amqp_rpc_reply_t reply, const char *what) {
  check(reply.reply_type == AMQP_RESPONSE_NORMAL, "%s: %s", what, said(reply));
}

void refused(amqp_rpc_reply_t reply, int code, const char *text) {
  char expected[600];
  snprintf(expected, sizeof expected, "%d %s", code, text);
  equal_text(said(reply), expected);
}
