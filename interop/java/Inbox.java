import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;

/** A consumer that keeps what it is given. */
class Inbox extends DefaultConsumer {
    record Message(Envelope envelope, BasicProperties properties, String body) {}

    final List<Message> messages = new CopyOnWriteArrayList<>();
    final CompletableFuture<String> cancelled = new CompletableFuture<>();

    Inbox(Channel channel, String queue, boolean autoAck) throws Exception {
        super(channel);
        channel.basicConsume(queue, autoAck, this);
    }

    @Override
    public void handleDelivery(String tag, Envelope envelope, BasicProperties properties, byte[] body) {
        messages.add(new Message(envelope, properties, Broker.text(body)));
    }

    @Override
    public void handleCancel(String tag) {
        cancelled.complete(tag);
    }

    List<String> bodies() {
        return messages.stream().map(Message::body).toList();
    }

    void ack(int index) throws Exception {
        getChannel().basicAck(messages.get(index).envelope().getDeliveryTag(), false);
    }

    void until(int count) throws Exception {
        Broker.until("there are " + count + " messages", () -> messages.size() >= count);
    }
}
