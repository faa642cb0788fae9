package relumen;

import ij.IJ;
import ij.ImagePlus;
import ij.io.FileSaver;
import ij.io.Opener;
import java.io.IOException;
import java.io.UnsupportedEncodingException;
import java.net.ConnectException;
import java.net.SocketTimeoutException;
import java.net.URLEncoder;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the commands ask of a relumen server. Its text answers are lines of key=value; an empty line ends an entry of a
 * list, and in a value a line break is written \n and a backslash \\.
 */
final class Server {
    private static final long FIRST_PAUSE_MS = 500;
    private static final long LONGEST_PAUSE_MS = 16_000;
    private static final int LONGEST_TITLE = 200;
    private static final long LARGEST = Integer.MAX_VALUE - (1 << 20); // of what Java can hold in one piece

    private final Transport transport;

    Server(String address) throws PlainException {
        transport = Transports.to(address);
    }

    String describe() {
        return transport.describe();
    }

    /** The entries of a list, such as /v1/priors. */
    List<Map<String, String>> list(String target) throws PlainException, IOException {
        List<Map<String, String>> entries = new ArrayList<>();
        for (String block : text(got(target)).split("\r?\n\r?\n")) {
            Map<String, String> entry = parsed(block);
            if (!entry.isEmpty()) {
                entries.add(entry);
            }
        }
        return entries;
    }

    /**
     * Submits an image with what is asked of it; a server that is full is asked again for a while.
     *
     * @return the job's id
     */
    String submit(String kind, Map<String, String> parameters, ImagePlus image)
            throws PlainException, IOException, CancelledException {
        byte[] tiff = serialized(image);
        Map<String, String> said = new LinkedHashMap<>(parameters);
        String title = image.getTitle();
        said.put("title", title.substring(0, Math.min(title.length(), LONGEST_TITLE)));
        String target = "/v1/" + kind + query(said);
        long start = System.currentTimeMillis();
        long pause = FIRST_PAUSE_MS;
        while (true) {
            IJ.showStatus("relumen: sending the image");
            Transport.Reply reply = send("POST", target, tiff);
            long spent = System.currentTimeMillis() - start;
            if (!busy(reply)) {
                return parsed(text(checked(reply))).get("id");
            }
            if (spent + pause > Settings.busyMs()) {
                throw new PlainException(said(reply) + " It was asked again for " + spent / 1000 + " s. Try later.");
            }
            IJ.showStatus("relumen: " + said(reply) + " Trying again (Esc cancels)");
            Escape.pause(pause);
            pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
        }
    }

    /**
     * How a job stands.
     *
     * @return null where the server is there but not yet, or no longer, at work
     */
    Map<String, String> status(String id) throws PlainException, IOException {
        Transport.Reply reply = send("GET", "/v1/jobs/" + encoded(id), null);
        return reply.status == 503 ? null : parsed(text(checked(reply)));
    }

    /** An image of a job: "preview" or "result". */
    ImagePlus image(String id, String which) throws PlainException, IOException {
        ImagePlus image = decoded(got("/v1/jobs/" + encoded(id) + "/" + which));
        if (image == null) {
            throw new PlainException("ImageJ can't read the " + which + " that " + describe() + " sent.");
        }
        return image;
    }

    /** A job's newest preview; null where it has none (any more). */
    ImagePlus preview(String id) throws PlainException, IOException {
        Transport.Reply reply = send("GET", "/v1/jobs/" + encoded(id) + "/preview", null);
        return reply.status == 200 ? decoded(reply.body) : null;
    }

    /** A package as a zip file. */
    byte[] packaged(String name) throws PlainException, IOException {
        return got("/v1/packages/" + encoded(name));
    }

    /** What the server tells of itself, also while it isn't ready. */
    Map<String, String> health() throws PlainException, IOException {
        Transport.Reply reply = send("GET", "/v1/health", null);
        return parsed(text(reply.status == 503 ? reply.body : checked(reply)));
    }

    /** Ends a job, whose result nobody waits for any more. */
    void cancel(String id) throws PlainException, IOException {
        checked(send("DELETE", "/v1/jobs/" + encoded(id), null));
    }

    static Map<String, String> parsed(String lines) {
        Map<String, String> entry = new LinkedHashMap<>();
        for (String line : lines.split("\r?\n")) {
            int at = line.indexOf('=');
            if (at > 0) {
                entry.put(line.substring(0, at), unescaped(line.substring(at + 1)));
            }
        }
        return entry;
    }

    private static String unescaped(String value) {
        StringBuilder plain = new StringBuilder();
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c == '\\' && i + 1 < value.length()) {
                char next = value.charAt(++i);
                plain.append(next == 'n' ? '\n' : next);
            } else {
                plain.append(c);
            }
        }
        return plain.toString();
    }

    private byte[] got(String target) throws PlainException, IOException {
        return checked(send("GET", target, null));
    }

    private Transport.Reply send(String method, String target, byte[] body) throws PlainException, IOException {
        try {
            return transport.send(method, target, body);
        } catch (IOException e) {
            throw new IOException(describe() + " does not answer: " + reason(e), e);
        } catch (RuntimeException e) { // of Python, where the server is in this process
            throw new PlainException(describe() + " failed inside; what it wrote says more.");
        }
    }

    private static String reason(IOException e) {
        if (e instanceof UnknownHostException) {
            return "there is no machine of this name";
        }
        if (e instanceof SocketTimeoutException) {
            return "it takes too long";
        }
        if (e instanceof ConnectException) {
            return "nothing listens there";
        }
        return e.getMessage() == null ? e.toString() : e.getMessage();
    }

    private static boolean busy(Transport.Reply reply) {
        return reply.status == 429 || reply.status == 503;
    }

    private byte[] checked(Transport.Reply reply) throws PlainException {
        if (reply.status == 401) {
            throw new PlainException(said(reply) + "\nSet the token in Plugins > relumen > relumen Server..., or in the "
                    + "environment variable RELUMEN_TOKEN before ImageJ starts. It is sent to the address in that "
                    + "dialog, or in the variable RELUMEN_SERVER, alone.");
        }
        if (reply.status >= 300) {
            throw new PlainException(said(reply));
        }
        return reply.body;
    }

    /** The server's plain words. */
    private String said(Transport.Reply reply) {
        String words = text(reply.body).trim();
        boolean plain = !words.isEmpty() && !words.startsWith("<"); // another server's page says nothing to a user
        return plain ? words : describe() + " answered " + reply.status + (reply.status == 401
                ? ": it asks for a token." : ", which says no more. Is it a relumen server?");
    }

    private static byte[] serialized(ImagePlus image) throws PlainException {
        if (image.getSizeInBytes() > LARGEST) {
            throw new PlainException("The image is larger than ImageJ can send (2 GB). Select a part of it.");
        }
        byte[] tiff = new FileSaver(image).serialize();
        if (tiff == null) {
            throw new PlainException("ImageJ can't write this image as a TIFF, so it can't be sent.");
        }
        return tiff;
    }

    private static ImagePlus decoded(byte[] tiff) {
        try {
            return new Opener().deserialize(tiff);
        } catch (RuntimeException e) { // of what is no TIFF
            return null;
        }
    }

    private static String text(byte[] body) {
        return new String(body, StandardCharsets.UTF_8);
    }

    private static String query(Map<String, String> parameters) throws IOException {
        StringBuilder query = new StringBuilder();
        for (Map.Entry<String, String> each : parameters.entrySet()) {
            if (!each.getValue().isEmpty()) { // the server has a default
                query.append(query.length() == 0 ? '?' : '&').append(encoded(each.getKey()));
                query.append('=').append(encoded(each.getValue()));
            }
        }
        return query.toString();
    }

    private static String encoded(String text) throws UnsupportedEncodingException {
        return URLEncoder.encode(text, "UTF-8").replace("+", "%20");
    }
}
