package relumen;

import java.io.IOException;
import java.util.Map;

/** Plugins > relumen > Fetch relumen Result...: of a job that this ImageJ no longer waits for. */
public final class Fetch extends Command {
    private static final String TITLE = "Fetch relumen Result";

    public Fetch() {
        super(TITLE);
    }

    @Override
    void run() throws PlainException, IOException, CancelledException {
        Map<String, String> asked = new Form("fetch").text("job", "").check("preview", true).server().ask(TITLE);
        if (asked == null) {
            return;
        }
        String id = asked.get("job");
        if (id.isEmpty()) {
            throw new PlainException("Say which job: its number was told when the server stopped answering.");
        }
        Server server = new Server(asked.get("server"));
        Map<String, String> job = server.status(id);
        String title = job == null ? id : job.getOrDefault("title", id);
        boolean search = job == null || job.getOrDefault("kind", "search").equals("search");
        boolean previews = Boolean.parseBoolean(asked.get("preview"));
        Images.show(new Watch(server, id, previews).result(), title, search ? "_rls" : "_restored");
    }
}
