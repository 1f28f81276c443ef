import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.tika.metadata.Metadata;
import org.apache.tika.parser.AutoDetectParser;
import org.apache.tika.parser.ParseContext;
import org.apache.tika.sax.BodyContentHandler;

/** Converts documents with Tika for {@code docstream bench documents}: a path on standard input, a line of JSON on standard output. */
public final class Peer {
    public static void main(String[] args) throws Exception {
        PrintStream say = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err); // libraries print
        var clock = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        var parser = new AutoDetectParser();
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            long before = clock.getProcessCpuTime();
            String key = "text", value;
            try (InputStream in = Files.newInputStream(Path.of(line))) {
                var text = new BodyContentHandler(-1);
                parser.parse(in, text, new Metadata(), new ParseContext());
                value = text.toString();
            } catch (Exception | LinkageError e) { // it may refuse a file: that is a result
                key = "error";
                value = e.toString();
            }
            say.println("{\"" + key + "\":" + quoted(value) + ",\"cpu\":" + (clock.getProcessCpuTime() - before) / 1e9 + "}");
            say.flush();
        }
    }

    private static String quoted(String s) {
        var b = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            if (c == '"' || c == '\\') {
                b.append('\\').append(c);
            } else if (c < 0x20 || Character.isSurrogate(c)) {
                b.append(String.format("\\u%04x", (int) c));
            } else {
                b.append(c);
            }
        }
        return b.append('"').toString();
    }
}
