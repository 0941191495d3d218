#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

#include "harness.h"

static void wrong_password(void) {
  struct amqp_connection_info info = parse_uri(uri);
  amqp_connection_state_t connection = amqp_new_connection();
  check(!amqp_socket_open(amqp_tcp_socket_new(connection), info.host, info.port), "nobody listens at %s", uri);
  refused(login(connection, "wrong"), 403,
          "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.");
}

static void over_tls(void) {
  struct amqp_connection_info at = parse_uri(needed("AMQPS_URI"));
  char authority[4096];
  snprintf(authority, sizeof authority, "%s/ca.pem", needed("TLS_FOLDER"));

  amqp_connection_state_t stranger = amqp_new_connection();
  equal(amqp_socket_open(amqp_ssl_socket_new(stranger), at.host, at.port), AMQP_STATUS_SSL_PEER_VERIFY_FAILED);

  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_ssl_socket_new(connection);
  equal(amqp_ssl_socket_set_cacert(socket, authority), AMQP_STATUS_OK);
  equal(amqp_socket_open(socket, at.host, at.port), AMQP_STATUS_OK);
  ok(login(connection, NULL), "login");
  amqp_channel_open(connection, CHANNEL);
  amqp_bytes_t queue = new_queue(connection, false, amqp_empty_table);

  static char body[500001];
  for (size_t n = 0; n < sizeof body - 1; n++) body[n] = 'a' + n % 23;
  publish_to_queue(connection, queue, body);
  message found;
  check(get(connection, queue, true, &found), "there is no message");
  check(!strcmp(found.body, body), "the body came back changed");
}

/* A client that connects again finds its queue, and what was confirmed before. */
static void restart(void) {
  uri = needed("RESTART_URI");
  const char *command = needed("RESTART_BROKER");
  amqp_connection_state_t connection = connect_broker();
  amqp_confirm_select(connection, CHANNEL);
  amqp_bytes_t queue = new_queue(connection, true, amqp_empty_table);
  amqp_basic_properties_t persistent = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
  publish(connection, amqp_empty_bytes, text(queue), "before", &persistent);
  expect(connection, AMQP_BASIC_ACK_METHOD);
  check(!system(command), "the restart failed");

  amqp_frame_t frame;
  equal(amqp_simple_wait_frame(connection, &frame), AMQP_STATUS_OK);
  equal(frame.payload.method.id, AMQP_CONNECTION_CLOSE_METHOD);
  equal(((amqp_connection_close_t *)frame.payload.method.decoded)->reply_code, 320);

  connection = connect_broker();
  consume(connection, queue, true);
  publish_to_queue(connection, queue, "after");
  equal_text(next(connection).body, "before");
  equal_text(next(connection).body, "after");
}

const scenario connections[] = {{"wrong_password_403", wrong_password},
                                {"messages_over_tls", over_tls},
                                {"reconnect_after_broker_restart", restart},
                                {0}};
