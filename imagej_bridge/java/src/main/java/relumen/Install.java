package relumen;

import ij.IJ;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** Plugins > relumen > Install relumen Packages...: into the folder where DeepImageJ looks for them. */
public final class Install extends Command {
    private static final String TITLE = "Install relumen Packages";
    private static final String DESCRIPTION = "rdf.yaml"; // each package has one

    public Install() {
        super(TITLE);
    }

    @Override
    void run() throws PlainException, IOException {
        Path models = models();
        Form form = new Form("install");
        Server server = new Server(form.address());
        List<String> names = new ArrayList<>();
        StringBuilder message = new StringBuilder("Installed into " + models + ":\n");
        for (Map<String, String> each : server.list("/v1/packages")) {
            String name = each.getOrDefault("name", "");
            names.add(name);
            form.check(key(name), false);
            message.append('\n').append(name).append(": ").append(each.getOrDefault("summary", ""));
            message.append(Files.exists(models.resolve(name)) ? " (there already: replaced)" : "");
        }
        Map<String, String> asked = form.message(message.toString()).server().ask(TITLE);
        if (asked == null) {
            return;
        }
        server = new Server(asked.get("server"));
        names.removeIf(name -> !Boolean.parseBoolean(asked.get(key(name))));
        if (names.isEmpty()) {
            throw new PlainException("No package was chosen, so none is installed.");
        }
        for (String name : names) {
            IJ.showStatus("relumen: installing " + name);
            install(server.packaged(name), name, models);
        }
        IJ.showStatus("relumen: installed " + String.join(", ", names));
    }

    /** Of an option: one word, in small letters. A dialog shows an underscore as a space. */
    private static String key(String name) {
        return name.replace(' ', '_').toLowerCase(Locale.US);
    }

    private static Path models() throws PlainException {
        String folder = IJ.getDirectory("imagej");
        if (folder == null || !new File(folder, "plugins").isDirectory()) { // ImageJ then names any folder
            throw new PlainException("ImageJ doesn't know its own folder. Install the packages from a terminal:"
                    + " relumen fiji install FOLDER");
        }
        return new File(folder, "models").toPath();
    }

    /** Puts a package into a folder: whole or not at all. */
    static void install(byte[] zip, String name, Path models) throws PlainException {
        Path target = models.resolve(name).normalize();
        if (!models.normalize().equals(target.getParent())) {
            throw new PlainException("A package can't be named \"" + name + "\".");
        }
        Path unpacked = null;
        try {
            Files.createDirectories(models);
            unpacked = Files.createTempDirectory(models, ".installing-");
            unpack(zip, unpacked);
            Path whole = Files.exists(unpacked.resolve(DESCRIPTION)) ? unpacked : unpacked.resolve(name);
            if (!Files.exists(whole.resolve(DESCRIPTION))) {
                throw new PlainException("What the server sent as " + name + " is no package: it has no " + DESCRIPTION
                        + ".");
            }
            replace(target, whole, models);
        } catch (IOException e) {
            throw new PlainException("The package " + name + " could not be written into " + models + " (" + e + ").");
        } finally {
            remove(unpacked);
        }
    }

    private static void replace(Path target, Path whole, Path models) throws IOException {
        if (!Files.exists(target)) {
            Files.move(whole, target);
            return;
        }
        Path old = Files.createTempDirectory(models, ".replaced-").resolve("old");
        Files.move(target, old);
        try {
            Files.move(whole, target);
        } catch (IOException e) {
            Files.move(old, target);
            throw e;
        } finally {
            remove(old.getParent());
        }
    }

    private static void unpack(byte[] zip, Path folder) throws PlainException, IOException {
        try (ZipInputStream in = new ZipInputStream(new ByteArrayInputStream(zip))) {
            for (ZipEntry entry = in.getNextEntry(); entry != null; entry = in.getNextEntry()) {
                Path file = folder.resolve(entry.getName()).normalize();
                if (!file.startsWith(folder)) { // such as ../../plugins/evil.jar
                    throw new PlainException("The package holds a file outside of its folder (" + entry.getName()
                            + "), so it isn't installed.");
                }
                if (entry.isDirectory()) {
                    Files.createDirectories(file);
                } else {
                    Files.createDirectories(file.getParent());
                    Files.copy(in, file);
                }
            }
        }
    }

    private static void remove(Path folder) {
        if (folder == null || !Files.exists(folder)) {
            return;
        }
        try {
            Files.walkFileTree(folder, new SimpleFileVisitor<Path>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.delete(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path each, IOException error) throws IOException {
                    Files.delete(each);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            IJ.log("relumen: " + folder + " could not be removed (" + e + ")");
        }
    }
}
