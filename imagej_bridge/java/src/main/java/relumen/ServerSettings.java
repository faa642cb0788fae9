package relumen;

import ij.IJ;
import ij.gui.GenericDialog;
import ij.plugin.frame.Recorder;
import java.awt.TextField;
import java.io.IOException;
import java.util.Map;

/** Plugins > relumen > relumen Server...: its address and token. */
public final class ServerSettings extends Command {
    private static final String TITLE = "relumen Server";

    public ServerSettings() {
        super(TITLE);
    }

    @Override
    void run() throws PlainException, IOException {
        Map<String, String> given = Options.ofMacro();
        if (given != null && given.containsKey("token")) {
            throw new PlainException("A token doesn't belong into a macro, which others may read. Set the environment"
                    + " variable RELUMEN_TOKEN, or type it into the dialog.");
        }
        if (Transports.inProcess()) {
            tell(new Server("")); // which has no other address
        } else if (given != null) {
            Map<String, String> asked = new Form("server").text("address", Settings.server()).ask(TITLE);
            use(asked.get("address"));
        } else {
            dialog();
        }
    }

    private static void dialog() throws PlainException, IOException {
        boolean fromEnvironment = System.getenv("RELUMEN_TOKEN") != null;
        GenericDialog dialog = new GenericDialog(TITLE);
        dialog.addMessage("A server on this machine is started with: relumen serve\n"
                + "One on another machine asks for its token.");
        dialog.addStringField("Address", Settings.server(), 24);
        if (fromEnvironment) {
            dialog.addMessage("The token is taken from RELUMEN_TOKEN, and sent to this address.");
        } else {
            dialog.setEchoChar('*');
            dialog.addStringField("Token", Settings.token(Settings.server()), 24);
        }
        dialog.showDialog();
        if (dialog.wasCanceled()) {
            return;
        }
        String address = dialog.getNextString();
        Recorder.saveCommand();
        if (fromEnvironment) {
            Settings.confirm(address);
        } else { // not by getNextString(), which would have it recorded
            Settings.setToken(address, ((TextField) dialog.getStringFields().get(1)).getText().trim());
        }
        use(address);
    }

    /** Remembers an address, and tells who answers there. */
    private static void use(String address) throws PlainException, IOException {
        Server server = new Server(address); // refuses what is none
        Settings.set("server", address.trim());
        tell(server);
    }

    private static void tell(Server server) throws PlainException, IOException {
        Map<String, String> health = server.health();
        int priors = server.list("/v1/priors").size();
        String found = "relumen " + health.getOrDefault("version", "") + " at " + server.describe() + " is "
                + health.getOrDefault("status", "there") + ", with " + priors + " priors.";
        if (Options.inMacro()) {
            IJ.showStatus(found);
        } else {
            IJ.showMessage(TITLE, found);
        }
    }
}
