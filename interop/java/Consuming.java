import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.GetResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

class Consuming {
    static void addTo(Map<String, Scenario> scenarios) {
        scenarios.put("prefetch_per_consumer", Consuming::prefetch);
        scenarios.put("nacked_messages_return_to_their_places", Consuming::nack);
        scenarios.put("consumer_is_told_when_its_queue_is_deleted", Consuming::deletedQueue);
        scenarios.put("cancelled_consumer_gets_no_more", Consuming::cancel);
        scenarios.put("exclusive_queue_is_locked_for_others_405", Consuming::exclusive);
        scenarios.put("expired_message_is_dead_lettered", Consuming::deadLetter);
        scenarios.put("priority_queue_serves_the_highest_first", Consuming::priority);
    }

    static void prefetch(Broker broker) throws Exception {
        var channel = broker.channel();
        String queue = broker.queue(channel);
        channel.basicQos(2);
        Inbox first = new Inbox(channel, queue, false), second = new Inbox(channel, queue, false);
        Broker.publish(channel, queue, "1", "2", "3", "4", "5", "6", "7", "8", "9", "10");
        first.until(2);
        second.until(2);
        Broker.untilReady(channel, queue, 6);
        Broker.equal(List.of(first.messages.size(), second.messages.size()), List.of(2, 2));
        first.ack(0);
        first.until(3);
        Broker.untilReady(channel, queue, 5);
        Broker.equal(second.messages.size(), 2);
    }

    static void nack(Broker broker) throws Exception {
        var channel = broker.channel();
        String queue = broker.queue(channel);
        Broker.publish(channel, queue, "1", "2", "3", "4", "5");
        List<GetResponse> taken = new ArrayList<>();
        for (int n = 0; n < 4; n++) {
            taken.add(channel.basicGet(queue, false));
            Broker.equal(taken.get(n).getEnvelope().isRedeliver(), false);
        }
        channel.basicNack(taken.get(3).getEnvelope().getDeliveryTag(), false, true);
        channel.basicReject(taken.get(1).getEnvelope().getDeliveryTag(), true);
        var again = Broker.drain(channel, queue);
        Broker.equal(Broker.bodies(again), List.of("2", "4", "5"));
        Broker.equal(again.stream().map(message -> message.getEnvelope().isRedeliver()).toList(), List.of(true, true, false));
    }

    static void deletedQueue(Broker broker) throws Exception {
        Channel consumer = broker.channel(), other = broker.channel();
        String queue = broker.queue(other);
        var inbox = new Inbox(consumer, queue, false);
        other.queueDelete(queue);
        Broker.equal(inbox.cancelled.get(50, TimeUnit.SECONDS), inbox.getConsumerTag());
        Broker.check(consumer.isOpen(), "the channel is closed");
    }

    static void cancel(Broker broker) throws Exception {
        var channel = broker.channel();
        String queue = broker.queue(channel);
        var inbox = new Inbox(channel, queue, false);
        Broker.publish(channel, queue, "before");
        inbox.until(1);
        channel.basicCancel(inbox.getConsumerTag());
        Broker.publish(channel, queue, "after");
        inbox.ack(0);
        Broker.equal(Broker.bodies(Broker.drain(channel, queue)), List.of("after"));
        Broker.equal(inbox.messages.size(), 1);
    }

    private interface Attempt {
        Object on(Channel channel) throws Exception;
    }

    static void exclusive(Broker broker) throws Exception {
        String queue = broker.name("queue");
        broker.channel().queueDeclare(queue, false, true, false, Map.of());
        String text = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '" + queue + "' in vhost '/'. It "
                + "could be originally declared on another connection or the exclusive property value does not match that "
                + "of the original declaration.";
        var other = broker.connect();
        for (Attempt attempt : List.<Attempt>of(
                channel -> channel.queueDeclare(queue, false, true, false, Map.of()),
                channel -> channel.queueDeclarePassive(queue),
                channel -> channel.basicGet(queue, true),
                channel -> new Inbox(channel, queue, true),
                channel -> channel.queuePurge(queue),
                channel -> channel.queueDelete(queue),
                channel -> channel.queueBind(queue, "amq.direct", "key"))) {
            var channel = other.createChannel();
            Broker.refused(405, text, () -> attempt.on(channel));
        }
    }

    static void deadLetter(Broker broker) throws Exception {
        var channel = broker.channel();
        String graveyard = broker.queue(channel);
        String queue = broker.queue(channel, false, Map.of(
                "x-message-ttl", 50, "x-dead-letter-exchange", "", "x-dead-letter-routing-key", graveyard));
        var inbox = new Inbox(channel, graveyard, true);
        Broker.publish(channel, queue, "short life");
        inbox.until(1);
        var death = (Map<?, ?>) ((List<?>) inbox.messages.get(0).properties().getHeaders().get("x-death")).get(0);
        Broker.equal(List.of(death.get("queue").toString(), death.get("reason").toString(), death.get("count")),
                List.of(queue, "expired", 1L));
        Broker.equal(List.of(death.get("exchange").toString(), death.get("routing-keys").toString()),
                List.of("", List.of(queue).toString()));
    }

    static void priority(Broker broker) throws Exception {
        var channel = broker.channel();
        String queue = broker.queue(channel, false, Map.of("x-max-priority", 5));
        for (int priority : List.of(1, 5, 0, 3, 5)) {
            var properties = new BasicProperties.Builder().priority(priority).build();
            channel.basicPublish("", queue, properties, Integer.toString(priority).getBytes());
        }
        Broker.equal(Broker.bodies(Broker.drain(channel, queue)), List.of("5", "5", "3", "1", "0"));
    }
}
