import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.ConfirmListener;
import com.rabbitmq.client.LongString;
import com.rabbitmq.client.RpcClient;
import com.rabbitmq.client.impl.LongStringHelper;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

class Publishing {
    static void addTo(Map<String, Scenario> scenarios) {
        scenarios.put("tutorial_7_confirms_in_batches", Publishing::confirms);
        scenarios.put("full_queue_that_rejects_nacks_the_publish", Publishing::nack);
        scenarios.put("mandatory_message_is_returned_before_its_ack", Publishing::mandatory);
        scenarios.put("every_header_type_survives", Publishing::headerTypes);
        scenarios.put("large_body_10_mib", Publishing::largeBody);
        scenarios.put("direct_reply_to", Publishing::directReplyTo);
    }

    static void confirms(Broker broker) throws Exception {
        var channel = broker.channel();
        String queue = broker.queue(channel, true, Map.of());
        channel.confirmSelect();
        var texts = IntStream.range(0, 1000).mapToObj(Integer::toString).toList();
        for (String text : texts) {
            channel.basicPublish("", queue, Broker.PERSISTENT, text.getBytes());
        }
        channel.waitForConfirmsOrDie(50_000);
        Broker.equal(Broker.bodies(Broker.drain(channel, queue)), texts);
    }

    static void nack(Broker broker) throws Exception {
        var channel = broker.channel();
        channel.confirmSelect();
        String queue = broker.queue(channel, false, Map.of("x-max-length", 1, "x-overflow", "reject-publish"));
        Broker.publish(channel, queue, "fits");
        Broker.equal(channel.waitForConfirms(50_000), true);
        Broker.publish(channel, queue, "does not");
        Broker.equal(channel.waitForConfirms(50_000), false);
        Broker.equal(Broker.bodies(Broker.drain(channel, queue)), List.of("fits"));
    }

    static void mandatory(Broker broker) throws Exception {
        var channel = broker.channel();
        List<List<Object>> events = Collections.synchronizedList(new ArrayList<>());
        channel.addReturnListener((code, text, exchange, key, properties, body) ->
                events.add(List.of(code, text, exchange, key, properties.getMessageId(), Broker.text(body))));
        channel.addConfirmListener(new ConfirmListener() {
            @Override
            public void handleAck(long tag, boolean multiple) {
                events.add(List.of("ack", tag));
            }

            @Override
            public void handleNack(long tag, boolean multiple) {
                events.add(List.of("nack", tag));
            }
        });
        channel.confirmSelect();
        var properties = new BasicProperties.Builder().messageId("m-1").build();
        channel.basicPublish("amq.direct", "no such key", true, properties, "stray".getBytes());
        Broker.until("it came back and was confirmed", () -> events.size() == 2);
        Broker.equal(events, List.of(
                List.of(312, "NO_ROUTE", "amq.direct", "no such key", "m-1", "stray"), List.of("ack", 1L)));
    }

    /** Everything that the client can write. Strings come back as what they are on the wire. */
    static void headerTypes(Broker broker) throws Exception {
        Map<String, Object> headers = new HashMap<>();
        headers.put("longstr", longString("plain"));
        headers.put("unicode", longString("żółw 🐢"));
        headers.put("empty string", longString(""));
        headers.put("binary", new byte[] {0, -1, -2});
        headers.put("true", true);
        headers.put("false", false);
        headers.put("int 8", (byte) -128);
        headers.put("int 16", (short) -32768);
        headers.put("int 32", -123456);
        headers.put("int 64", -(1L << 40));
        headers.put("float", 1.5f);
        headers.put("double", Math.PI);
        headers.put("decimal", new BigDecimal("12.34"));
        headers.put("timestamp", new Date(981173106_000L));
        headers.put("void", null);
        headers.put("table", Map.of(
                "deep", Map.of("deeper", List.of(1, longString("two"), Map.of("three", 3))), "empty", Map.of()));
        headers.put("array", Arrays.asList(
                1, 1L << 40, longString("text"), true, null, 1.5, List.of(), List.of(longString("nested"))));

        var channel = broker.channel();
        String queue = broker.queue(channel);
        channel.basicPublish("", queue, new BasicProperties.Builder().headers(headers).build(), new byte[0]);
        var received = channel.basicGet(queue, true).getProps().getHeaders();
        Broker.equal(received.keySet(), headers.keySet());
        headers.forEach((name, value) -> Broker.equal(received.get(name), value));
    }

    private static LongString longString(String text) {
        return LongStringHelper.asLongString(text);
    }

    static void largeBody(Broker broker) throws Exception {
        var channel = broker.channel();
        String queue = broker.queue(channel);
        byte[] body = new byte[10 * 1024 * 1024];
        new Random().nextBytes(body);
        channel.basicPublish("", queue, Broker.PLAIN, body);
        Broker.check(Arrays.equals(channel.basicGet(queue, true).getBody(), body), "the body came back changed");
    }

    /** The client's RpcClient gets its replies through amq.rabbitmq.reply-to. */
    static void directReplyTo(Broker broker) throws Exception {
        var server = broker.channel();
        String queue = broker.queue(server);
        List<String> replyTos = Collections.synchronizedList(new ArrayList<>());
        server.basicConsume(queue, true, (tag, request) -> {
            var asked = request.getProperties();
            replyTos.add(asked.getReplyTo());
            var properties = new BasicProperties.Builder().correlationId(asked.getCorrelationId()).build();
            int answer = 2 * Integer.parseInt(Broker.text(request.getBody()));
            server.basicPublish("", asked.getReplyTo(), properties, Integer.toString(answer).getBytes());
        }, tag -> {});
        var client = new RpcClient(broker.channel(), "", queue, 50_000);
        Map<String, String> replies = new LinkedHashMap<>();
        for (String n : List.of("30", "5", "12")) {
            replies.put(n, client.stringCall(n));
        }
        Broker.equal(replies, Map.of("30", "60", "5", "10", "12", "24"));
        Broker.check(replyTos.stream().allMatch(name -> name.startsWith("amq.rabbitmq.reply-to.")), replyTos.toString());
    }
}
