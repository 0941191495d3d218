import com.rabbitmq.client.AuthenticationFailureException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import java.io.FileInputStream;
import java.net.URI;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLHandshakeException;
import javax.net.ssl.TrustManagerFactory;

class Connections {
    static void addTo(Map<String, Scenario> scenarios) {
        scenarios.put("wrong_password_403", Connections::wrongPassword);
        scenarios.put("messages_over_tls", Connections::tls);
        scenarios.put("reconnect_after_broker_restart", Connections::restart);
    }

    static void wrongPassword(Broker broker) throws Exception {
        var factory = broker.factory();
        factory.setPassword("wrong");
        try {
            broker.connect(factory);
        } catch (AuthenticationFailureException refusal) {
            Broker.equal(refusal.getMessage(), "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                    + "For details see the broker logfile.");
            return;
        }
        throw new AssertionError("the login was accepted");
    }

    static void tls(Broker broker) throws Exception {
        var at = new URI(Broker.needed("AMQPS_URI"));
        var factory = broker.factory();
        factory.setHost(at.getHost());
        factory.setPort(at.getPort());
        factory.useSslProtocol(SSLContext.getDefault());
        try {
            broker.connect(factory);
            throw new AssertionError("nobody vouches for this broker");
        } catch (SSLHandshakeException expected) {
            // As it should be.
        }

        factory.useSslProtocol(trusting(Broker.needed("TLS_FOLDER") + "/ca.pem"));
        Channel channel = broker.connect(factory).createChannel();
        String queue = broker.queue(channel);
        byte[] body = new byte[500_000];
        new Random().nextBytes(body);
        channel.basicPublish("", queue, Broker.PLAIN, body);
        Broker.equal(channel.basicGet(queue, true).getBody(), body);
    }

    private static SSLContext trusting(String authority) throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var file = new FileInputStream(authority)) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        var context = SSLContext.getInstance("TLSv1.3");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    /** Connections come back by themselves, with their channels and consumers. */
    static void restart(Broker broker) throws Exception {
        var restart = broker.restartable();
        var factory = broker.factory();
        factory.setNetworkRecoveryInterval(100);
        var connection = broker.connect(factory);
        var recovered = new CompletableFuture<Recoverable>();
        ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
            @Override
            public void handleRecovery(Recoverable recoverable) {
                recovered.complete(recoverable);
            }

            @Override
            public void handleRecoveryStarted(Recoverable recoverable) {}
        });
        var channel = connection.createChannel();
        channel.confirmSelect();
        String queue = broker.queue(channel, true, Map.of());
        String elsewhere = broker.queue(channel, true, Map.of());
        channel.basicPublish("", queue, Broker.PERSISTENT, "before".getBytes());
        channel.waitForConfirmsOrDie();
        var inbox = new Inbox(channel, elsewhere, true);
        Broker.equal(restart.call(), 0);
        recovered.get(50, TimeUnit.SECONDS);
        Broker.publish(channel, queue, "after");
        Broker.publish(channel, elsewhere, "to the consumer that came back");
        inbox.until(1);
        Broker.equal(Broker.bodies(Broker.drain(channel, queue)), List.of("before", "after"));
    }
}
