package relumen;

import ij.gui.GenericDialog;
import ij.plugin.frame.Recorder;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What a command asks for: in a dialog, which starts with what was said last time and is recorded; or, in a macro, by
 * options, where what is left out has its default, so that a line means the same on every machine.
 */
final class Form {
    private enum Kind { CHOICE, NUMBER, TEXT, CHECK, UNSEEN }

    private static final class Field {
        final Kind kind;
        final String key;
        final String otherwise;
        final String note;
        final String[] choices;

        Field(Kind kind, String key, String otherwise, String note, String... choices) {
            this.kind = kind;
            this.key = key;
            this.otherwise = otherwise;
            this.note = note;
            this.choices = choices;
        }
    }

    private final String name;
    private final Map<String, String> given = Options.ofMacro();
    private final List<Field> fields = new ArrayList<>();
    private String message = "";
    private String help = "";

    /**
     * @param name under which values are remembered
     */
    Form(String name) {
        this.name = name;
    }

    Form choice(String key, String otherwise, String... choices) {
        fields.add(new Field(Kind.CHOICE, key, otherwise, "", choices));
        return this;
    }

    /**
     * @param note unit or range, beside the field
     */
    Form number(String key, String otherwise, String note) {
        fields.add(new Field(Kind.NUMBER, key, otherwise, note));
        return this;
    }

    Form text(String key, String otherwise) {
        fields.add(new Field(Kind.TEXT, key, otherwise, ""));
        return this;
    }

    /** A box, ticked at first; in a macro its key alone ticks it. */
    Form check(String key, boolean ticked) {
        fields.add(new Field(Kind.CHECK, key, Boolean.toString(ticked), ""));
        return this;
    }

    /** Options that a macro may give and no dialog asks for. */
    Form unseen(String... keys) {
        for (String key : keys) {
            fields.add(new Field(Kind.UNSEEN, key, "", ""));
        }
        return this;
    }

    /** The server's address, which no one need give where the server is in this process. */
    Form server() {
        return Transports.inProcess() ? unseen("server") : text("server", Settings.server());
    }

    Form message(String message) {
        this.message = message;
        return this;
    }

    Form help(String html) {
        this.help = html;
        return this;
    }

    /** The address that a macro gives, before all else is asked for; otherwise the one that was used last. */
    String address() {
        return given == null ? Settings.server() : given.getOrDefault("server", Settings.server());
    }

    /** Whether a macro's line has a value for an option. */
    boolean gives(String key) {
        return given != null && !given.getOrDefault(key, "").isEmpty();
    }

    /**
     * The answers by key.
     *
     * @return null where the user cancelled
     */
    Map<String, String> ask(String title) throws PlainException {
        Map<String, String> answers = given != null ? fromMacro() : fromDialog(title);
        if (answers != null) {
            for (Field field : fields) {
                String answer = answers.get(field.key);
                if (field.kind == Kind.CHOICE && !Arrays.asList(field.choices).contains(answer)) {
                    throw new PlainException("There is no " + field.key + " named \"" + answer + "\". There are: "
                            + String.join(", ", field.choices));
                }
            }
        }
        return answers;
    }

    private Map<String, String> fromMacro() throws PlainException {
        Map<String, String> answers = new LinkedHashMap<>();
        for (Field field : fields) {
            String otherwise = field.kind == Kind.CHECK ? "false" : field.otherwise;
            String answer = given.getOrDefault(field.key, otherwise);
            boolean number = field.kind == Kind.NUMBER && given.containsKey(field.key);
            answers.put(field.key, number ? number(field, answer) : answer);
        }
        for (String key : given.keySet()) {
            if (!answers.containsKey(key)) {
                throw new PlainException("There is no option \"" + key + "\". There are: "
                        + String.join(", ", answers.keySet()));
            }
        }
        return answers;
    }

    private Map<String, String> fromDialog(String title) throws PlainException {
        GenericDialog dialog = new GenericDialog(title);
        if (!message.isEmpty()) {
            dialog.addMessage(message);
        }
        for (Field field : fields) {
            add(dialog, field);
        }
        if (!help.isEmpty()) {
            dialog.addHelp("<html>" + help + "</html>");
        }
        dialog.showDialog();
        if (dialog.wasCanceled()) {
            return null;
        }
        Map<String, String> answers = new LinkedHashMap<>();
        for (Field field : fields) {
            answers.put(field.key, read(dialog, field));
        }
        // Now and not at the command's end, minutes later: another command meanwhile would take this line's place.
        Recorder.saveCommand();
        for (Field field : fields) {
            if (field.kind != Kind.UNSEEN) {
                Settings.set(remembered(field), answers.get(field.key));
            }
        }
        return answers;
    }

    private void add(GenericDialog dialog, Field field) {
        String value = Settings.get(remembered(field), field.otherwise);
        boolean word = field.key.matches("[a-z_]+"); // not the name of a package
        String label = word ? field.key.substring(0, 1).toUpperCase(Locale.US) + field.key.substring(1) : field.key;
        switch (field.kind) {
            case CHOICE:
                boolean there = Arrays.asList(field.choices).contains(value);
                dialog.addChoice(label, field.choices, there ? value : field.otherwise);
                break;
            case NUMBER:
                // As many digits as it has: what is shown is what is recorded.
                int digits = Math.max(0, new BigDecimal(value).stripTrailingZeros().scale());
                dialog.addNumericField(label, Double.parseDouble(value), digits, 8, field.note);
                break;
            case TEXT:
                dialog.addStringField(label, value, 20);
                break;
            case CHECK:
                dialog.addCheckbox(label, Boolean.parseBoolean(value));
                break;
            default:
                break;
        }
    }

    private static String read(GenericDialog dialog, Field field) throws PlainException {
        switch (field.kind) {
            case CHOICE:
                return dialog.getNextChoice();
            case NUMBER:
                double number = dialog.getNextNumber();
                if (dialog.invalidNumber()) {
                    throw new PlainException(field.key + ": " + dialog.getErrorMessage());
                }
                return plain(number);
            case TEXT:
                return dialog.getNextString().trim();
            case CHECK:
                return Boolean.toString(dialog.getNextBoolean());
            default:
                return "";
        }
    }

    private static String number(Field field, String text) throws PlainException {
        try {
            return plain(Double.parseDouble(text));
        } catch (NumberFormatException e) {
            throw new PlainException(field.key + ": \"" + text + "\" is no number.");
        }
    }

    /** 16 and not 16.0, which a server may refuse as a count. */
    private static String plain(double number) {
        return number == Math.rint(number) ? Long.toString((long) number) : Double.toString(number);
    }

    private String remembered(Field field) {
        return field.key.equals("server") ? "server" : name + "." + field.key;
    }
}
