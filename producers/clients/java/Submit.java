import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;

import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Submits a document to Docstream by writing one record into a documents lane, without its API.
 *
 * <p>The document lies in a bucket already. The record is a DocumentSubmitted in Avro, in the Confluent wire format, signed with the
 * producer key of the tenant, which the variable PRODUCER_KEY holds. Prints the job id.
 *
 * <pre>
 * mvn dependency:copy-dependencies -DoutputDirectory=jars
 * java -cp 'jars/*' Submit.java --brokers HOST:PORT --registry http://HOST:PORT --tenant acme --bucket scans --object-key in/a.pdf --size 12345
 * </pre>
 */
public final class Submit {
    private static final String CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";

    public static void main(String[] args) throws Exception {
        Map<String, String> flags = new HashMap<>(Map.of("prefix", "docstream.", "class", "cpu", "priority", "normal", "bucket", "", "media-type", ""));
        for (int i = 0; i + 1 < args.length; i += 2) {
            flags.put(args[i].replaceFirst("^--", ""), args[i + 1]);
        }
        for (String needed : List.of("brokers", "registry", "tenant", "object-key", "size")) {
            if (!flags.containsKey(needed)) {
                System.err.println("--" + needed + " is missing");
                System.exit(2);
            }
        }
        String topic = flags.get("prefix") + "documents." + flags.get("class") + "." + flags.get("priority");
        String job = flags.containsKey("job") ? flags.get("job") : newJobId();
        byte[] value = encode(latestSchema(flags.get("registry"), topic + "-value"), flags, job);
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, job.getBytes(StandardCharsets.UTF_8), value);
        record.headers().add("docstream-signature", sign(System.getenv("PRODUCER_KEY"), topic, value).getBytes(StandardCharsets.UTF_8));

        Properties config = new Properties();
        config.put("bootstrap.servers", flags.get("brokers"));
        config.put("acks", "all");
        config.put("enable.idempotence", "true");
        config.put("delivery.timeout.ms", "30000");
        config.put("request.timeout.ms", "10000");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.send(record).get(40, TimeUnit.SECONDS);
        }
        System.out.println(job);
    }

    /** A schema as the registry has it. */
    record Registered(int id, Schema schema) {}

    /** The newest version that Docstream has registered for the lane. */
    static Registered latestSchema(String registry, String subject) throws Exception {
        HttpRequest ask = HttpRequest.newBuilder(URI.create(registry + "/subjects/" + subject + "/versions/latest")).build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(ask, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IllegalStateException("the registry answered " + answer.statusCode() + " about " + subject);
        }
        JsonNode found = new ObjectMapper().readTree(answer.body());
        return new Registered(found.get("id").asInt(), new Schema.Parser().parse(found.get("schema").asText()));
    }

    /** The Confluent wire format: a zero byte, the schema's id, the Avro body. Fields that are not set take the schema's defaults. */
    static byte[] encode(Registered registered, Map<String, String> flags, String job) throws Exception {
        long now = System.currentTimeMillis() * 1000;
        Schema schema = registered.schema();
        String key = flags.get("object-key");
        GenericData.Record source = new GenericRecordBuilder(schema.getField("source").schema())
            .set("bucket", flags.get("bucket")).set("key", key).set("size", Long.parseLong(flags.get("size")))
            .set("media_type", flags.get("media-type")).set("filename", key.substring(key.lastIndexOf('/') + 1)).build();
        GenericRecord event = new GenericRecordBuilder(schema)
            .set("tenant", flags.get("tenant")).set("job_id", job).set("at", now).set("submitted_at", now)
            .set("class", flags.get("class")).set("priority", flags.get("priority")).set("source", source).build();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        DataOutputStream header = new DataOutputStream(out);
        header.writeByte(0);
        header.writeInt(registered.id());
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
        new GenericDatumWriter<GenericRecord>(schema).write(event, encoder);
        encoder.flush();
        return out.toByteArray();
    }

    /** docstream-signature: key id, colon, base64 of HMAC-SHA-256 over the full topic name, a zero byte and the value. */
    static String sign(String key, String topic, byte[] value) throws Exception {
        String[] parts = key.split("_", 3); // dpk, id, secret
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(parts[2].getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
        mac.update(topic.getBytes(StandardCharsets.UTF_8));
        mac.update((byte) 0);
        return parts[1] + ":" + Base64.getEncoder().encodeToString(mac.doFinal(value));
    }

    /** 48 bits of milliseconds, then 80 random bits, so that ids sort by time. The same id again is the same job: keep it for retries. */
    static String newJobId() {
        byte[] random = new byte[10];
        new SecureRandom().nextBytes(random);
        ByteBuffer raw = ByteBuffer.allocate(16).putLong(System.currentTimeMillis() << 16);
        raw.position(6);
        byte[] bits = raw.put(random).array();
        StringBuilder id = new StringBuilder("job_");
        for (int at = 0; at < 128; at += 5) {
            int five = 0;
            for (int i = at; i < at + 5; i++) {
                five = five << 1 | (i < 128 ? bits[i / 8] >> (7 - i % 8) & 1 : 0);
            }
            id.append(CROCKFORD.charAt(five));
        }
        return id.toString();
    }
}
