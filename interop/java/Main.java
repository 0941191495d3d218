import java.util.LinkedHashMap;
import java.util.Map;

/** {@code Main --list} names the scenarios; {@code Main NAME} runs one against $AMQP_URI. */
class Main {
    public static void main(String[] arguments) throws Exception {
        Map<String, Scenario> scenarios = new LinkedHashMap<>();
        Connections.addTo(scenarios);
        Exchanges.addTo(scenarios);
        Publishing.addTo(scenarios);
        Consuming.addTo(scenarios);
        if (arguments[0].equals("--list")) {
            scenarios.keySet().forEach(System.out::println);
            return;
        }
        var broker = new Broker(System.getenv("AMQP_URI"));
        try {
            scenarios.get(arguments[0]).run(broker);
            broker.cleanUp();
        } catch (Throwable failure) {
            failure.printStackTrace();
            try {
                broker.cleanUp();
            } finally {
                System.exit(1);
            }
        }
        System.exit(0);
    }
}

interface Scenario {
    void run(Broker broker) throws Exception;
}
