import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

class Exchanges {
    static void addTo(Map<String, Scenario> scenarios) {
        scenarios.put("tutorial_1_hello_world", Exchanges::helloWorld);
        scenarios.put("tutorial_3_publish_subscribe", Exchanges::publishSubscribe);
        scenarios.put("tutorial_4_routing", Exchanges::routing);
        scenarios.put("tutorial_5_topics", Exchanges::topics);
        scenarios.put("headers_exchange_all_and_any", Exchanges::headers);
        scenarios.put("alternate_exchange_takes_the_unroutable", Exchanges::alternate);
    }

    static void helloWorld(Broker broker) throws Exception {
        Channel sender = broker.channel(), receiver = broker.channel();
        String queue = broker.queue(sender);
        var inbox = new Inbox(receiver, queue, true);
        Broker.publish(sender, queue, "Hello World!");
        inbox.until(1);
        var message = inbox.messages.get(0);
        Broker.equal(message.body(), "Hello World!");
        var envelope = message.envelope();
        Broker.equal(List.of(envelope.getExchange(), envelope.getRoutingKey(), envelope.isRedeliver()),
                List.of("", queue, false));
    }

    /** A consumer on an exclusive queue of its own, bound with these keys. */
    private static Inbox subscribe(Broker broker, String exchange, String... keys) throws Exception {
        var channel = broker.channel();
        String queue = channel.queueDeclare().getQueue();
        for (String key : keys) {
            channel.queueBind(queue, exchange, key);
        }
        return new Inbox(channel, queue, true);
    }

    private static void publish(Channel channel, String exchange, String key, String text) throws Exception {
        channel.basicPublish(exchange, key, Broker.PLAIN, text.getBytes());
    }

    static void publishSubscribe(Broker broker) throws Exception {
        var sender = broker.channel();
        String logs = broker.exchange(sender, "fanout", Map.of());
        var inboxes = List.of(
                subscribe(broker, logs, ""), subscribe(broker, logs, ""), subscribe(broker, logs, ""));
        var lines = List.of("one", "two", "three");
        for (String line : lines) {
            publish(sender, logs, "the key is ignored", line);
        }
        for (Inbox inbox : inboxes) {
            inbox.until(3);
            Broker.equal(inbox.bodies(), lines);
        }
    }

    static void routing(Broker broker) throws Exception {
        var sender = broker.channel();
        String logs = broker.exchange(sender, "direct", Map.of());
        var disk = subscribe(broker, logs, "error");
        var screen = subscribe(broker, logs, "info", "warning", "error");
        for (String severity : List.of("info", "debug", "error", "warning")) {
            publish(sender, logs, severity, severity);
        }
        disk.until(1);
        screen.until(3);
        Broker.equal(disk.bodies(), List.of("error"));
        Broker.equal(screen.bodies(), List.of("info", "error", "warning"));
    }

    static void topics(Broker broker) throws Exception {
        var channel = broker.channel();
        String animals = broker.exchange(channel, "topic", Map.of());
        var keys = List.of("quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox", "orange", "lazy", "");
        var expected = Map.of(
                "*.orange.*", List.of("quick.orange.rabbit", "lazy.orange.elephant"),
                "*.*.rabbit", List.of("quick.orange.rabbit"),
                "lazy.#", List.of("lazy.orange.elephant", "lazy.brown.fox", "lazy"),
                "#", keys);
        Map<String, String> queues = new LinkedHashMap<>();
        for (String pattern : expected.keySet()) {
            queues.put(pattern, broker.queue(channel));
            channel.queueBind(queues.get(pattern), animals, pattern);
        }
        for (String key : keys) {
            publish(channel, animals, key, key);
        }
        for (var entry : queues.entrySet()) {
            Broker.equal(Broker.bodies(Broker.drain(channel, entry.getValue())), expected.get(entry.getKey()));
        }
    }

    static void headers(Broker broker) throws Exception {
        var channel = broker.channel();
        String exchange = broker.exchange(channel, "headers", Map.of());
        String all = broker.queue(channel), any = broker.queue(channel);
        channel.queueBind(all, exchange, "", Map.of("x-match", "all", "format", "pdf", "pages", 3));
        channel.queueBind(any, exchange, "", Map.of("x-match", "any", "format", "pdf", "pages", 3));
        Map<String, Map<String, Object>> messages = new LinkedHashMap<>();
        messages.put("both", Map.of("format", "pdf", "pages", 3, "more", true));
        messages.put("one", Map.of("format", "pdf", "pages", 4));
        messages.put("string is not a number", Map.of("pages", "3"));
        messages.put("no headers", Map.of());
        for (var message : messages.entrySet()) {
            var properties = new BasicProperties.Builder().headers(message.getValue()).build();
            channel.basicPublish(exchange, "", properties, message.getKey().getBytes());
        }
        Broker.equal(Broker.bodies(Broker.drain(channel, all)), List.of("both"));
        Broker.equal(Broker.bodies(Broker.drain(channel, any)), List.of("both", "one"));
    }

    static void alternate(Broker broker) throws Exception {
        var channel = broker.channel();
        String strays = broker.exchange(channel, "fanout", Map.of());
        String main = broker.exchange(channel, "direct", Map.of("alternate-exchange", strays));
        String routed = broker.queue(channel), unrouted = broker.queue(channel);
        channel.queueBind(routed, main, "known");
        channel.queueBind(unrouted, strays, "");
        publish(channel, main, "known", "known");
        publish(channel, main, "unknown", "unknown");
        Broker.equal(Broker.bodies(Broker.drain(channel, routed)), List.of("known"));
        var found = Broker.drain(channel, unrouted);
        Broker.equal(Broker.bodies(found), List.of("unknown"));
        Broker.equal(found.get(0).getEnvelope().getExchange(), main);
    }
}
