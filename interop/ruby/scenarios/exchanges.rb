scenario :tutorial_1_hello_world do |broker|
  sender, receiver = broker.channel, broker.channel
  queue = broker.queue(sender)
  inbox = Inbox.new(receiver.queue(queue.name))
  sender.default_exchange.publish("Hello World!", routing_key: queue.name)
  inbox.wait_for(1)
  message = inbox.messages.first
  equal(message.body, "Hello World!")
  equal([message.info.exchange, message.info.routing_key, message.info.redelivered?], ["", queue.name, false])
end

scenario :tutorial_3_publish_subscribe do |broker|
  logs = broker.exchange(broker.channel, "fanout")
  inboxes = Array.new(3) { Inbox.new(broker.channel.queue("", exclusive: true).bind(logs)) }
  lines = %w[one two three]
  lines.each { |line| logs.publish(line, routing_key: "the key is ignored") }
  inboxes.each do |inbox|
    inbox.wait_for(3)
    equal(inbox.bodies, lines)
  end
end

scenario :tutorial_4_routing do |broker|
  logs = broker.exchange(broker.channel, "direct")
  subscribe = lambda do |*severities|
    queue = broker.channel.queue("", exclusive: true)
    severities.each { |severity| queue.bind(logs, routing_key: severity) }
    Inbox.new(queue)
  end
  disk, screen = subscribe.call("error"), subscribe.call("info", "warning", "error")
  %w[info debug error warning].each { |severity| logs.publish(severity, routing_key: severity) }
  disk.wait_for(1)
  screen.wait_for(3)
  equal([disk.bodies, screen.bodies], [%w[error], %w[info error warning]])
end

scenario :tutorial_5_topics do |broker|
  channel = broker.channel
  animals = broker.exchange(channel, "topic")
  keys = ["quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox", "orange", "lazy", ""]
  expected = {
    "*.orange.*" => %w[quick.orange.rabbit lazy.orange.elephant],
    "*.*.rabbit" => %w[quick.orange.rabbit],
    "lazy.#" => %w[lazy.orange.elephant lazy.brown.fox lazy],
    "#" => keys
  }
  queues = expected.to_h { |pattern, _| [pattern, broker.queue(channel).bind(animals, routing_key: pattern)] }
  keys.each { |key| animals.publish(key, routing_key: key) }
  equal(queues.transform_values { |queue| drain(queue).map(&:body) }, expected)
end

scenario :headers_exchange_all_and_any do |broker|
  channel = broker.channel
  exchange = broker.exchange(channel, "headers")
  queues = %w[all any].map do |match|
    broker.queue(channel).bind(exchange, arguments: { "x-match" => match, "format" => "pdf", "pages" => 3 })
  end
  {
    "both" => { "format" => "pdf", "pages" => 3, "more" => true },
    "one" => { "format" => "pdf", "pages" => 4 },
    "string is not a number" => { "pages" => "3" },
    "no headers" => {}
  }.each { |text, headers| exchange.publish(text, headers: headers) }
  equal(queues.map { |queue| drain(queue).map(&:body) }, [%w[both], %w[both one]])
end

scenario :alternate_exchange_takes_the_unroutable do |broker|
  channel = broker.channel
  strays = broker.exchange(channel, "fanout")
  main = broker.exchange(channel, "direct", arguments: { "alternate-exchange" => strays.name })
  routed, unrouted = broker.queue(channel).bind(main, routing_key: "known"), broker.queue(channel).bind(strays)
  %w[known unknown].each { |key| main.publish(key, routing_key: key) }
  equal(drain(routed).map(&:body), %w[known])
  equal(drain(unrouted).map { |message| [message.body, message.info.exchange] }, [["unknown", main.name]])
end
