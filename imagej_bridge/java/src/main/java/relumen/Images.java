package relumen;

import ij.IJ;
import ij.ImagePlus;
import ij.WindowManager;
import ij.gui.Roi;
import ij.plugin.CompositeConverter;
import ij.process.ImageConverter;
import ij.process.StackConverter;
import java.awt.Rectangle;

/** What is taken of the current image, and how a result is shown. */
final class Images {
    private Images() {}

    static ImagePlus current() throws PlainException {
        ImagePlus image = WindowManager.getCurrentImage();
        if (image == null) {
            throw new PlainException("No image is open. Open the low-resolution image, or stack, and try again.");
        }
        return image;
    }

    /** A copy of all channels, slices and frames within the selection's bounds; colours become channels. */
    static ImagePlus selected(ImagePlus image) throws PlainException {
        Roi roi = image.getRoi();
        ImagePlus part;
        if (roi != null && roi.isArea()) {
            Rectangle whole = new Rectangle(image.getWidth(), image.getHeight());
            if (!roi.getBounds().intersects(whole)) {
                throw new PlainException("The selection lies outside of the image. Remove it, or draw another.");
            }
            part = image.crop("stack");
        } else {
            part = image.duplicate();
        }
        part.setTitle(image.getTitle());
        part.deleteRoi();
        part.setOverlay(null);
        if (part.getCalibration().isSigned16Bit()) {
            signed(part);
        }
        return part.getType() == ImagePlus.COLOR_RGB ? CompositeConverter.makeComposite(part) : part;
    }

    /** ImageJ's signed pixels are unsigned ones with a calibration, which a TIFF doesn't carry to other programs. */
    private static void signed(ImagePlus image) {
        if (image.getStackSize() == 1) {
            new ImageConverter(image).convertToGray32();
        } else {
            new StackConverter(image).convertToGray32();
        }
    }

    /** Shows a result under a name of its own: "cells.tif" gives "cells_rls"; its warnings are logged. */
    static void show(ImagePlus result, String title, String ending) {
        String plain = title.replaceAll("(?i)(\\.(ome|tiff?|png|jpe?g|gif|bmp))+$", "");
        result.setTitle(WindowManager.makeUniqueName(plain + ending));
        result.changes = true; // it may have taken minutes: ImageJ asks before it is thrown away
        result.show();
        warn(result);
    }

    /** What the user should know of a result, which its Info holds after what it was restored with. */
    private static void warn(ImagePlus result) {
        String info = String.valueOf(result.getInfoProperty());
        int begin = info.lastIndexOf("restored: "); // what comes before is the image's own
        if (begin >= 0) {
            for (String line : info.substring(begin).split("\n")) {
                if (line.startsWith("warning: ")) {
                    IJ.log("relumen: " + result.getTitle() + ": " + line);
                }
            }
        }
    }
}
