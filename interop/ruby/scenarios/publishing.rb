require "bigdecimal"

scenario :tutorial_7_confirms_in_batches do |broker|
  channel = broker.channel
  queue = broker.queue(channel, durable: true)
  channel.confirm_select
  texts = (0...1000).map(&:to_s)
  texts.each { |text| queue.publish(text, persistent: true) }
  equal(channel.wait_for_confirms, true, "all are confirmed")
  equal(drain(queue).map(&:body), texts)
end

scenario :full_queue_that_rejects_nacks_the_publish do |broker|
  channel = broker.channel
  queue = broker.queue(channel, arguments: { "x-max-length" => 1, "x-overflow" => "reject-publish" })
  channel.confirm_select
  queue.publish("fits")
  equal(channel.wait_for_confirms, true, "the first is confirmed")
  queue.publish("does not")
  equal(channel.wait_for_confirms, false, "the second is confirmed")
  equal(channel.nacked_set.to_a, [2])
  equal(drain(queue).map(&:body), %w[fits])
end

scenario :mandatory_message_is_returned_before_its_ack do |broker|
  channel = broker.channel
  returned = Queue.new
  exchange = channel.direct("amq.direct", durable: true)
  exchange.on_return { |info, properties, body| returned << [info, properties, body] }
  confirmed = Queue.new
  channel.confirm_select(->(tag, _multiple, nack) { confirmed << [tag, nack] })
  exchange.publish("stray", routing_key: "no such key", mandatory: true, message_id: "m-1")
  equal(confirmed.pop, [1, false], "the confirm")
  info, properties, body = returned.pop
  equal([info.reply_code, info.reply_text, info.exchange, info.routing_key, properties.message_id, body],
        [312, "NO_ROUTE", "amq.direct", "no such key", "m-1", "stray"])
end

# Everything that the client can write: integers of 64 bits, and decimals without decimals. It takes texts for octets.
HEADERS = {
  "longstr" => "plain",
  "unicode" => "żółw 🐢".b,
  "empty string" => "",
  "true" => true,
  "false" => false,
  "int 64" => -(2**40),
  "double" => Math::PI,
  "decimal" => BigDecimal("12"),
  "timestamp" => Time.at(981_173_106),
  "void" => nil,
  "table" => { "deep" => { "deeper" => [1, "two", { "three" => 3 }] }, "empty" => {} },
  "array" => [1, 2**40, "text", true, nil, 1.5, ["nested"]]
}.freeze

scenario :every_header_type_survives do |broker|
  queue = broker.queue(broker.channel)
  queue.publish("", headers: HEADERS)
  headers = drain(queue).first.properties.headers
  HEADERS.each { |name, value| equal([headers[name].class, headers[name]], [value.class, value], name) }
  equal(headers.keys, HEADERS.keys, "order of the headers")
end

scenario :large_body_10_mib do |broker|
  queue = broker.queue(broker.channel)
  body = SecureRandom.random_bytes(10 * 1024 * 1024)
  queue.publish(body)
  equal(drain(queue).first.body == body, true, "the body came back unchanged")
end

scenario :direct_reply_to do |broker|
  server, client = broker.channel, broker.channel
  requests = broker.queue(server)
  requests.subscribe do |_info, properties, body|
    server.default_exchange.publish(
      (2 * body.to_i).to_s, routing_key: properties.reply_to, correlation_id: properties.correlation_id)
  end
  replies = []
  client.basic_consume("amq.rabbitmq.reply-to", "", true) { |*delivery| replies << Message.new(*delivery) }
  [30, 5, 12].each do |n|
    client.default_exchange.publish(
      n.to_s, routing_key: requests.name, reply_to: "amq.rabbitmq.reply-to", correlation_id: "call #{n}")
  end
  wait_until("all replies are here") { replies.size == 3 }
  received = replies.to_h { |reply| [reply.properties.correlation_id, reply.body] }
  equal(received, { "call 30" => "60", "call 5" => "10", "call 12" => "24" })
  equal(replies.all? { |reply| reply.info.routing_key.start_with?("amq.rabbitmq.reply-to.") }, true)
end
