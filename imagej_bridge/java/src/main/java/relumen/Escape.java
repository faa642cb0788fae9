package relumen;

import ij.IJ;

/** Waits that end with the Esc key. */
final class Escape {
    private static final int LOOK_EVERY_MS = 50;

    private Escape() {}

    static void pause(long milliseconds) throws CancelledException {
        long end = System.currentTimeMillis() + milliseconds;
        check();
        for (long left = milliseconds; left > 0; left = end - System.currentTimeMillis()) {
            IJ.wait((int) Math.min(left, LOOK_EVERY_MS));
            check();
        }
    }

    static void check() throws CancelledException {
        if (IJ.escapePressed()) {
            throw new CancelledException();
        }
    }
}
