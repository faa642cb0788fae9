package relumen;

import ij.IJ;
import ij.ImagePlus;
import ij.macro.Interpreter;
import java.awt.GraphicsEnvironment;
import java.io.IOException;
import java.util.Map;

/** Waits for a job: tells how it goes, shows previews, cancels it on Esc, and gives its result. */
final class Watch {
    private static final int EVERY_MS = 250;

    private final Server server;
    private final String id;
    private final boolean previews;
    private Preview preview;
    private String shown = "0";

    /**
     * @param previews whether a window shows what is found so far
     */
    Watch(Server server, String id, boolean previews) {
        this.server = server;
        this.id = id;
        boolean windows = !GraphicsEnvironment.isHeadless() && IJ.getInstance() != null && !Interpreter.isBatchMode();
        this.previews = previews && windows;
    }

    /** The result, as soon as it is there. */
    ImagePlus result() throws PlainException, IOException, CancelledException {
        long heard = System.currentTimeMillis();
        try {
            while (true) {
                try {
                    Map<String, String> job = server.status(id);
                    if (job != null) {
                        String state = job.getOrDefault("state", "");
                        if (state.equals("finished")) {
                            return server.image(id, "result");
                        }
                        if (state.equals("failed") || state.equals("cancelled") || state.equals("expired")) {
                            throw new PlainException(ended(job));
                        }
                        tell(job);
                    } else {
                        IJ.showStatus("relumen: the server is starting or stopping");
                    }
                    heard = System.currentTimeMillis();
                } catch (IOException e) {
                    patient(heard, e);
                }
                Escape.pause(EVERY_MS);
            }
        } catch (CancelledException e) {
            cancel();
            throw e;
        } finally {
            IJ.showProgress(1.0);
            if (preview != null) {
                preview.close();
            }
        }
    }

    private static String ended(Map<String, String> job) {
        String reason = job.getOrDefault("reason", "");
        return reason.isEmpty() ? "The job is " + job.get("state") + " on the server." : reason;
    }

    private void patient(long heard, IOException e) throws PlainException {
        long silent = System.currentTimeMillis() - heard;
        if (silent > Settings.goneMs()) {
            throw new PlainException(e.getMessage() + ".\nThe server keeps job " + id + ", and goes on with it once it is"
                    + " started again (relumen serve).\nFetch its result then: Plugins > relumen > Fetch relumen"
                    + " Result..., job " + id);
        }
        IJ.showStatus("relumen: no answer for " + silent / 1000 + " s, trying on (Esc cancels)");
    }

    private void tell(Map<String, String> job) throws PlainException, IOException {
        IJ.showStatus("relumen: " + job.getOrDefault("message", ""));
        IJ.showProgress(progress(job));
        String newest = job.getOrDefault("preview", "0");
        boolean wanted = previews && (preview == null || preview.isOpen()); // who closes it does not want it
        if (wanted && !newest.equals("0") && !newest.equals(shown)) {
            ImagePlus image = server.preview(id);
            if (image != null) {
                if (preview == null) {
                    preview = new Preview("relumen: preview of " + job.getOrDefault("title", ""));
                }
                preview.show(image);
                shown = newest;
            }
        }
    }

    private static double progress(Map<String, String> job) {
        try {
            return Math.min(Double.parseDouble(job.getOrDefault("progress", "")), 0.999); // at 1 the bar goes away
        } catch (NumberFormatException e) {
            return 0;
        }
    }

    private void cancel() {
        IJ.showStatus("relumen: cancelling");
        try {
            server.cancel(id);
        } catch (PlainException | IOException e) {
            IJ.log("relumen: the server could not be told that job " + id + " is cancelled. " + e.getMessage());
        }
    }
}
