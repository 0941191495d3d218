import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.ShutdownSignalException;
import com.rabbitmq.client.AMQP;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.Callable;

/** The broker under test, everything one scenario has opened or created on it, and what all scenarios share. */
class Broker {
    static final BasicProperties PERSISTENT = new BasicProperties.Builder().deliveryMode(2).build();
    static final BasicProperties PLAIN = new BasicProperties();
    private static final long DEADLINE_MILLIS = 50_000;

    private String uri;
    private final List<Connection> connections = new ArrayList<>();
    private final List<String> queues = new ArrayList<>();
    private final List<String> exchanges = new ArrayList<>();

    Broker(String uri) {
        this.uri = uri;
    }

    ConnectionFactory factory() throws Exception {
        var factory = new ConnectionFactory();
        factory.setUri(uri);
        return factory;
    }

    Connection connect(ConnectionFactory factory) throws Exception {
        var connection = factory.newConnection();
        connections.add(connection);
        return connection;
    }

    Connection connect() throws Exception {
        return connect(factory());
    }

    /** A channel on a connection of its own. */
    Channel channel() throws Exception {
        return connect().createChannel();
    }

    /** From here on use a broker that may be restarted, by what this returns, or skip the scenario. */
    Callable<Integer> restartable() {
        uri = needed("RESTART_URI");
        String command = needed("RESTART_BROKER");
        return () -> new ProcessBuilder("sh", "-c", command).inheritIO().start().waitFor();
    }

    String name(String kind) {
        return "interop." + kind + "." + UUID.randomUUID().toString().substring(24);
    }

    String queue(Channel channel) throws Exception {
        return queue(channel, false, Map.of());
    }

    String queue(Channel channel, boolean durable, Map<String, Object> arguments) throws Exception {
        String queue = name("queue");
        queues.add(queue);
        channel.queueDeclare(queue, durable, false, false, arguments);
        return queue;
    }

    String exchange(Channel channel, String type, Map<String, Object> arguments) throws Exception {
        String exchange = name(type);
        exchanges.add(exchange);
        channel.exchangeDeclare(exchange, type, false, false, arguments);
        return exchange;
    }

    void cleanUp() throws Exception {
        for (Connection connection : connections) {
            connection.abort();
        }
        try (Connection connection = factory().newConnection(); Channel channel = connection.createChannel()) {
            for (String queue : queues) {
                channel.queueDelete(queue);
            }
            for (String exchange : exchanges) {
                channel.exchangeDelete(exchange);
            }
        }
    }

    static void publish(Channel channel, String queue, String... texts) throws Exception {
        for (String text : texts) {
            channel.basicPublish("", queue, PLAIN, text.getBytes(StandardCharsets.UTF_8));
        }
    }

    /** Everything that is in the queue. */
    static List<GetResponse> drain(Channel channel, String queue) throws Exception {
        List<GetResponse> found = new ArrayList<>();
        for (GetResponse message; (message = channel.basicGet(queue, true)) != null; ) {
            found.add(message);
        }
        return found;
    }

    static List<String> bodies(List<GetResponse> messages) {
        return messages.stream().map(message -> text(message.getBody())).toList();
    }

    static String text(byte[] body) {
        return new String(body, StandardCharsets.UTF_8);
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.currentTimeMillis() + DEADLINE_MILLIS;
        while (!condition.call()) {
            check(System.currentTimeMillis() < end, "timed out waiting until " + what);
            Thread.sleep(5);
        }
    }

    /** Waits until so many messages are ready. The count may lag behind earlier publishes. */
    static void untilReady(Channel channel, String queue, long count) throws Exception {
        until(count + " messages are ready", () -> channel.messageCount(queue) == count);
    }

    static void equal(Object actual, Object expected) {
        check(Objects.deepEquals(actual, expected), "expected " + expected + ", got " + actual);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    /** The broker must close the channel with this code and exactly this text. */
    static void refused(int code, String text, Callable<?> attempt) throws Exception {
        try {
            attempt.call();
        } catch (Exception failure) {
            if (!(failure.getCause() instanceof ShutdownSignalException signal)) {
                throw failure;
            }
            var close = (AMQP.Channel.Close) signal.getReason();
            equal(List.of(close.getReplyCode(), close.getReplyText()), List.of(code, text));
            return;
        }
        throw new AssertionError("expected a refusal: " + text);
    }

    /** The value of an environment variable; the scenario is skipped without it. */
    static String needed(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) {
            System.out.println("it needs " + name);
            System.exit(77);
        }
        return value;
    }
}
