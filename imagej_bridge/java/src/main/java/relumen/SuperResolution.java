package relumen;

import ij.ImagePlus;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/** Plugins > relumen > RLS Super-Resolution... */
public final class SuperResolution extends Command {
    private static final String TITLE = "RLS Super-Resolution";
    private static final String WHAT_IT_IS = "The result is synthesised: one of many images that fit this one.\n"
            + "It shows what could have been there, and measures nothing.";
    private static final String HELP = "<h3>RLS Super-Resolution</h3>"
            + "Searches a generative network (the prior) for an image that, made coarser, is the current image.<p>"
            + "<b>factor</b>: how many times more pixels along x and y<br>"
            + "<b>iterations</b>: steps of the search<br>"
            + "<b>lambda w, lambda c</b>: weights of the two terms that keep it plausible; empty: the method's<br>"
            + "<b>blur, reduction</b>: how the coarse image came about<br>"
            + "<b>channels</b>: such as DNA=1 tubulin=none; empty: in the prior's order<br>"
            + "<b>intensity</b>: what is black and white: auto, type, or LOW:HIGH for each channel<br>"
            + "<b>solutions</b>: from 2 on with their mean and standard deviation, as slices<br>"
            + "<b>seed</b>: equal seeds give equal images<p>"
            + "All slices and frames are searched; of a selection, its bounds.";

    public SuperResolution() {
        super(TITLE);
    }

    @Override
    void run() throws PlainException, IOException, CancelledException {
        ImagePlus image = Images.current();
        Form form = new Form("rls");
        Map<String, String> asked = asked(form);
        if (asked == null) {
            return;
        }
        Server server = new Server(asked.remove("server"));
        boolean previews = Boolean.parseBoolean(asked.remove("preview"));
        String id = server.submit("searches", asked, Images.selected(image));
        Images.show(new Watch(server, id, previews).result(), image.getTitle(), "_rls");
    }

    private static Map<String, String> asked(Form form) throws PlainException, IOException {
        Server server = new Server(form.address());
        List<Map<String, String>> found = server.list("/v1/priors");
        if (found.isEmpty()) {
            throw new PlainException("The server at " + server.describe() + " has no prior.");
        }
        String[] priors = found.stream().map(prior -> prior.getOrDefault("name", "")).toArray(String[]::new);
        boolean ofMethod = form.gives("method"); // it has steps and weights of its own
        return form.message(WHAT_IT_IS)
                .help(HELP)
                .choice("prior", priors[0], priors)
                .number("factor", "16", "times")
                .number("iterations", ofMethod ? "" : "200", "steps")
                .text("lambda_w", ofMethod ? "" : "5e-4")
                .text("lambda_c", ofMethod ? "" : "3e-4")
                .number("blur", "0", "sigma, pixels of the result")
                .choice("reduction", "bicubic", "bicubic", "area")
                .text("channels", "")
                .text("intensity", "auto")
                .number("solutions", "1", "")
                .number("seed", "0", "")
                .unseen("method", "border", "uncertainty", "tiles")
                .check("preview", true)
                .server()
                .ask(TITLE);
    }
}
