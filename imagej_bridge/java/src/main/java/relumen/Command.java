package relumen;

import ij.IJ;
import ij.Macro;
import ij.macro.Interpreter;
import ij.plugin.PlugIn;
import java.awt.GraphicsEnvironment;
import java.io.IOException;

/** What all commands share: a failure is told in plain words, and stops a macro. */
abstract class Command implements PlugIn {
    private final String title;

    Command(String title) {
        this.title = title;
    }

    abstract void run() throws PlainException, IOException, CancelledException;

    @Override
    public final void run(String argument) {
        IJ.resetEscape();
        try {
            run();
        } catch (PlainException e) {
            fail(e.getMessage());
        } catch (IOException e) {
            fail(e.getMessage() + ".\nStart a server with: relumen serve\nOr choose another: Plugins > relumen > relumen"
                    + " Server...");
        } catch (CancelledException e) {
            cancelled();
        } catch (RuntimeException e) {
            if (Macro.MACRO_CANCELED.equals(e.getMessage())) {
                throw e; // ImageJ's own way to end a macro
            }
            IJ.handleException(e);
            fail("The command failed inside (" + e + ").");
        } catch (OutOfMemoryError e) {
            fail("ImageJ has too little memory for this. Give it more: Edit > Options > Memory & Threads...");
        }
    }

    /** An exception out of a plugin is only logged, and a macro goes on: so it is told, and the macro is ended. */
    private void fail(String message) {
        IJ.showStatus("relumen: failed");
        IJ.error(title, message);
        Macro.abort();
    }

    private void cancelled() {
        IJ.showStatus("relumen: cancelled");
        if (GraphicsEnvironment.isHeadless()) { // where nobody sees a status bar
            IJ.log("relumen: cancelled");
        }
        if (Options.inMacro()) { // which Macro.abort() leaves running
            Interpreter macro = Interpreter.getInstance();
            if (macro != null) {
                macro.setIgnoreErrors(true); // no window: the user knows
                macro.abort("relumen: cancelled");
            } else { // another macro ended meanwhile, and ImageJ forgot this one
                IJ.error(title, "Cancelled.");
            }
        }
        Macro.abort();
    }
}
