def publish_numbers(queue, last)
  (1..last).each { |n| queue.publish(n.to_s) }
end

scenario :prefetch_per_consumer do |broker|
  channel = broker.channel
  queue = broker.queue(channel)
  channel.prefetch(2)
  first, second = Inbox.new(queue, manual_ack: true), Inbox.new(queue, manual_ack: true)
  publish_numbers(queue, 10)
  [first, second].each { |inbox| inbox.wait_for(2) }
  wait_ready(queue, 6)
  equal([first.messages.size, second.messages.size], [2, 2])
  channel.ack(first.messages.first.info.delivery_tag)
  first.wait_for(3)
  wait_ready(queue, 5)
  equal(second.messages.size, 2)
end

scenario :nacked_messages_return_to_their_places do |broker|
  channel = broker.channel
  queue = broker.queue(channel)
  publish_numbers(queue, 5)
  taken = Array.new(4) { queue.pop(manual_ack: true).first }
  equal(taken.map(&:redelivered?), [false] * 4)
  channel.nack(taken[3].delivery_tag, false, true)
  channel.reject(taken[1].delivery_tag, true)
  again = drain(queue).map { |message| [message.body, message.info.redelivered?] }
  equal(again, [["2", true], ["4", true], ["5", false]])
end

scenario :consumer_is_told_when_its_queue_is_deleted do |broker|
  consumer, other = broker.channel, broker.channel
  queue = broker.queue(other)
  cancelled = Queue.new
  inbox = Inbox.new(consumer.queue(queue.name), on_cancellation: ->(cancel) { cancelled << cancel.consumer_tag })
  queue.delete
  equal(cancelled.pop, inbox.consumer.consumer_tag)
  equal(consumer.open?, true, "the channel is open")
end

scenario :cancelled_consumer_gets_no_more do |broker|
  channel = broker.channel
  queue = broker.queue(channel)
  inbox = Inbox.new(queue, manual_ack: true)
  queue.publish("before")
  inbox.wait_for(1)
  inbox.consumer.cancel
  queue.publish("after")
  channel.ack(inbox.messages.first.info.delivery_tag)
  equal(drain(queue).map(&:body), %w[after])
  equal(inbox.messages.size, 1)
end

scenario :exclusive_queue_is_locked_for_others_405 do |broker|
  owner, other = broker.connect, broker.connect
  name = broker.name("queue")
  owner.create_channel.queue(name, exclusive: true)
  text = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '#{name}' in vhost '/'. It could be " \
         "originally declared on another connection or the exclusive property value does not match that of the " \
         "original declaration."
  [
    ->(channel) { channel.queue(name, exclusive: true) },
    ->(channel) { channel.queue(name, passive: true) },
    ->(channel) { channel.queue_purge(name) },
    ->(channel) { channel.queue_delete(name) },
    ->(channel) { channel.queue_bind(name, "amq.direct", routing_key: "key") }
  ].each do |attempt|
    refused(Bunny::ResourceLocked, text) { attempt.call(other.create_channel) }
  end
end

scenario :expired_message_is_dead_lettered do |broker|
  channel = broker.channel
  graveyard = broker.queue(channel)
  queue = broker.queue(channel, arguments: {
    "x-message-ttl" => 50, "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => graveyard.name
  })
  inbox = Inbox.new(graveyard)
  queue.publish("short life")
  inbox.wait_for(1)
  death = inbox.messages.first.properties.headers["x-death"].first
  equal(death.values_at("queue", "reason", "count"), [queue.name, "expired", 1])
  equal(death.values_at("exchange", "routing-keys"), ["", [queue.name]])
end

scenario :priority_queue_serves_the_highest_first do |broker|
  queue = broker.queue(broker.channel, arguments: { "x-max-priority" => 5 })
  [1, 5, 0, 3, 5].each { |priority| queue.publish(priority.to_s, priority: priority) }
  equal(drain(queue).map(&:body), %w[5 5 3 1 0])
end
