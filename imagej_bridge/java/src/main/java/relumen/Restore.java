package relumen;

import ij.ImagePlus;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/** Plugins > relumen > Restore with relumen package...: for an ImageJ without DeepImageJ. */
public final class Restore extends Command {
    private static final String TITLE = "Restore with relumen package";

    public Restore() {
        super(TITLE);
    }

    @Override
    void run() throws PlainException, IOException, CancelledException {
        ImagePlus image = Images.current();
        Form form = new Form("restore");
        Server server = new Server(form.address());
        List<Map<String, String>> found = server.list("/v1/packages");
        if (found.isEmpty()) {
            throw new PlainException("The server at " + server.describe() + " has no package.");
        }
        String[] packages = found.stream().map(each -> each.getOrDefault("name", "")).toArray(String[]::new);
        StringBuilder help = new StringBuilder("<h3>" + TITLE + "</h3>");
        for (Map<String, String> each : found) {
            help.append("<b>").append(each.get("name")).append("</b>: ").append(each.getOrDefault("summary", ""));
            help.append("<br>");
        }
        help.append("<b>tile</b>: pixels; smaller needs less memory; empty: as suits the network");
        Map<String, String> asked = form.message("Details that a network adds are likely, not measured.")
                .help(help.toString())
                .choice("package", packages[0], packages)
                .text("tile", "")
                .server()
                .ask(TITLE);
        if (asked == null) {
            return;
        }
        server = new Server(asked.remove("server"));
        String id = server.submit("restorations", asked, Images.selected(image));
        Images.show(new Watch(server, id, false).result(), image.getTitle(), "_restored");
    }
}
