package relumen;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpRetryException;
import java.net.HttpURLConnection;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.URISyntaxException;

/** Requests over HTTP. */
final class HttpTransport implements Transport {
    private static final int CONNECT_MS = 5_000;
    private static final int READ_MS = 20_000;
    private static final int READ_AFTER_POST_MS = 300_000; // the image is looked at before the job is taken

    private final String address;
    private final String token;

    /**
     * @param address such as http://127.0.0.1:8765
     * @param token   that the server asks for, or ""
     */
    HttpTransport(String address, String token) throws PlainException {
        this.address = checked(address);
        this.token = token;
    }

    @Override
    public Reply send(String method, String target, byte[] body) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) URI.create(address + target).toURL().openConnection();
        connection.setRequestMethod(method);
        connection.setConnectTimeout(CONNECT_MS);
        connection.setReadTimeout(body == null ? READ_MS : READ_AFTER_POST_MS);
        connection.setInstanceFollowRedirects(false); // the token is for this server only
        connection.setRequestProperty("Accept", "text/plain, image/tiff, application/zip");
        if (!token.isEmpty()) {
            connection.setRequestProperty("Authorization", "Bearer " + token);
        }
        try {
            if (body != null) {
                post(connection, body);
            }
            int status = connection.getResponseCode();
            InputStream in = status >= 400 ? connection.getErrorStream() : connection.getInputStream();
            return new Reply(status, in == null ? new byte[0] : read(in));
        } catch (HttpRetryException e) { // Java's own answer to a 401 after a post
            return new Reply(e.responseCode(), new byte[0]);
        } finally {
            connection.disconnect();
        }
    }

    private static void post(HttpURLConnection connection, byte[] body) throws IOException {
        connection.setDoOutput(true);
        connection.setRequestProperty("Content-Type", "image/tiff");
        connection.setFixedLengthStreamingMode(body.length); // also: Java never posts twice by itself
        connection.connect();
        try {
            try (OutputStream out = connection.getOutputStream()) {
                out.write(body);
            }
            connection.getResponseCode();
        } catch (HttpRetryException | SocketTimeoutException e) {
            throw e;
        } catch (IOException e) { // also where an answer came before all was sent: Java can't read it
            throw new IOException("it broke off while the image was sent (" + (body.length >> 20)
                    + " MiB); it takes none so large, or it was stopped", e);
        }
    }

    @Override
    public String describe() {
        return address;
    }

    private static String checked(String address) throws PlainException {
        String trimmed = Settings.plain(address);
        try {
            URI uri = new URI(trimmed);
            boolean http = "http".equals(uri.getScheme()) || "https".equals(uri.getScheme());
            if (http && uri.getHost() != null && uri.getQuery() == null && uri.getFragment() == null) {
                return trimmed;
            }
        } catch (URISyntaxException e) {
            // told below
        }
        throw new PlainException("A server's address is such as " + Settings.DEFAULT_SERVER + ". Received: " + address);
    }

    private static byte[] read(InputStream in) throws IOException {
        try (InputStream open = in) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            byte[] buffer = new byte[1 << 16];
            for (int n = open.read(buffer); n >= 0; n = open.read(buffer)) {
                out.write(buffer, 0, n);
            }
            return out.toByteArray();
        }
    }
}
