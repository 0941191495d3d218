require "uri"

# Bunny knows from the code of the refusal that it was the login, and puts a text of its own in the place of the broker's.
scenario :wrong_password_403 do |broker|
  refused(Bunny::AuthenticationFailureError, "Authentication with RabbitMQ failed.") do
    broker.connect(broker.uri.sub(/:[^:@]*@/, ":wrong@"))
  end
end

scenario :messages_over_tls do |broker|
  at, folder = needed("AMQPS_URI", "TLS_FOLDER")
  secure = URI(at)
  secure.userinfo, secure.path = URI(broker.uri).userinfo, URI(broker.uri).path
  refused(Exception, "certificate verify failed") do
    broker.connect(secure.to_s, verify_peer: true, recovery_attempts: 0)
  end

  queue = broker.queue(broker.connect(secure.to_s, tls_ca_certificates: ["#{folder}/ca.pem"]).create_channel)
  body = SecureRandom.random_bytes(500_000)
  queue.publish(body)
  equal(drain(queue).first.body == body, true, "the body came back unchanged")
end

# The connection comes back by itself, with its channels, queues and consumers.
scenario :reconnect_after_broker_restart do |broker|
  restart = broker.restartable
  recovered = Queue.new
  connection = broker.connect(
    network_recovery_interval: 0.1, recover_from_connection_close: true,
    recovery_completed: -> { recovered << true })
  channel = connection.create_channel
  channel.confirm_select
  queue, elsewhere = broker.queue(channel, durable: true), broker.queue(channel, durable: true)
  queue.publish("before", persistent: true)
  channel.wait_for_confirms
  inbox = Inbox.new(elsewhere)
  restart.call
  recovered.pop
  elsewhere.publish("to the consumer that came back")
  inbox.wait_for(1)
  queue.publish("after")
  equal(drain(queue).map(&:body), %w[before after])
end
