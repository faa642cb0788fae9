package relumen;

import java.io.IOException;

/** How a request reaches the relumen server: over HTTP, or in this process where Python registered one. */
public interface Transport {

    /**
     * Sends one request and waits for its answer, which is text/plain wherever it is neither an image nor a zip file.
     *
     * @param method GET, POST or DELETE
     * @param target path and query, such as "/v1/searches?prior=prior-cells&amp;factor=16"
     * @param body   the TIFF file that is posted, or null
     * @throws IOException the server can't be reached
     */
    Reply send(String method, String target, byte[] body) throws IOException;

    /** What the server is called before a user whom it doesn't answer. */
    String describe();

    /** An answer: HTTP's status, and what was sent. */
    final class Reply {
        public final int status;
        public final byte[] body;

        public Reply(int status, byte[] body) {
            this.status = status;
            this.body = body;
        }
    }
}
