package relumen;

import ij.CompositeImage;
import ij.IJ;
import ij.ImageJ;
import ij.ImagePlus;
import java.awt.Canvas;
import java.awt.Dimension;
import java.awt.Frame;
import java.awt.Graphics;
import java.awt.Image;
import java.awt.Rectangle;
import java.awt.event.WindowAdapter;
import java.awt.event.WindowEvent;

/**
 * A window with what a job has found so far. It is no window of ImageJ's own: those become the current image, and the
 * recorder would name in a macro what is gone when the macro is run.
 */
final class Preview {
    private static final int SIDE = 384; // about, on the screen
    private static final int GAP = 10;

    private final Frame frame;
    private final View view = new View();
    private volatile boolean closed;

    Preview(String title) {
        frame = new Frame(title);
        frame.add(view);
        frame.addWindowListener(new WindowAdapter() {
            @Override
            public void windowClosing(WindowEvent event) {
                close();
            }
        });
        ImageJ imagej = IJ.getInstance();
        frame.addKeyListener(imagej); // Esc
        view.addKeyListener(imagej);
        Rectangle screen = imagej.getGraphicsConfiguration().getBounds();
        int left = Math.min(imagej.getX() + imagej.getWidth() + GAP, screen.x + screen.width - SIDE - GAP);
        frame.setLocation(left, imagej.getY() + GAP);
        frame.setAutoRequestFocus(false);
    }

    /** Whether the user has not closed it. */
    boolean isOpen() {
        return !closed;
    }

    /** Replaces what is shown. */
    void show(ImagePlus newest) {
        if (closed) {
            return;
        }
        if (newest instanceof CompositeImage) {
            ((CompositeImage) newest).setMode(IJ.COMPOSITE);
        }
        view.image = newest.getBufferedImage();
        if (frame.isVisible()) {
            view.repaint();
        } else {
            int zoom = Math.max(1, SIDE / Math.max(newest.getWidth(), newest.getHeight()));
            view.setPreferredSize(new Dimension(zoom * newest.getWidth(), zoom * newest.getHeight()));
            frame.pack();
            frame.setVisible(true);
        }
    }

    void close() {
        closed = true;
        frame.dispose();
    }

    private static final class View extends Canvas {
        private static final long serialVersionUID = 1L;

        volatile transient Image image;

        @Override
        public void update(Graphics graphics) {
            paint(graphics); // without a blank in between
        }

        @Override
        public void paint(Graphics graphics) {
            graphics.drawImage(image, 0, 0, getWidth(), getHeight(), null);
        }
    }
}
