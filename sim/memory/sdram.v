// SDR SDRAM with 4 banks and 16 data bits, for simulation: keeps data, and counts what a real chip would not forgive.
// The clock is taken to have CLOCK_PS; signals are sampled at its rising edge, read data stand until the edge at which
// they are to be sampled. content[{row, bank, column}] is the memory. The first violation stays in `violation`.
module sdram_model #(
    parameter ROW_BITS = 13,
    parameter COLUMN_BITS = 9,
    parameter CLOCK_PS = 20000,
    parameter POWER_UP_PS = 200000000,
    parameter POWER_UP_REFRESHES = 2,
    parameter RCD_PS = 20000,
    parameter RP_PS = 20000,
    parameter RAS_PS = 45000,
    parameter RC_PS = 67500,
    parameter RFC_PS = 70000,
    parameter RRD_PS = 15000,
    parameter WR_PS = 20000,
    parameter MRD_CLOCKS = 2,
    parameter REFI_PS = 7812500,
    parameter REFRESH_DEBT = 32,
    parameter STOPS = 0, // ends the simulation at the first violation
    parameter LOADED = 0 // content comes from the file sdram.hex, 16 bits a line, if it is there
) (
    input clk,
    input clear, // forgets everything but the content, as if the power had just come
    input cke,
    input csn,
    input rasn,
    input casn,
    input wen,
    input [ROW_BITS-1:0] a,
    input [1:0] ba,
    input [1:0] dqm,
    inout [15:0] d,
    output reg [4:0] violation,
    output reg [31:0] activates,
    output reg [31:0] reads,
    output reg [31:0] writes,
    output reg [31:0] refreshes
);
    localparam [4:0] POWER_UP = 1, STATE = 2, RCD = 3, RP = 4, RAS = 5, RC = 6, RFC = 7, RRD = 8, WR = 9, MRD = 10,
        REFRESH = 11, MODE = 12, CONTENTION = 13, CLOCK_ENABLE = 14;
    localparam LONG_AGO = 1 << 20;

    reg [15:0] content [0:(1 << (ROW_BITS + COLUMN_BITS + 2)) - 1];
    integer file;
    initial if (LOADED != 0) begin
        file = $fopen("sdram.hex", "r");
        if (file != 0) begin
            $fclose(file);
            $readmemh("sdram.hex", content);
        end
    end

    // Ages in clocks; they stop at LONG_AGO.
    integer since_activate [0:3], since_precharge [0:3], since_write [0:3];
    integer since_refresh, since_mode, since_any_activate, age, refresh_ps, debt;
    reg [3:0] open, closes;
    reg [ROW_BITS-1:0] row [0:3];
    reg precharged, mode_set;
    reg [2:0] length_code;
    integer k, left;
    reg reading, writing;
    reg [1:0] bank;
    reg [COLUMN_BITS-1:0] column;
    reg driven, staged;
    reg [15:0] driven_data, staged_data;
    reg [1:0] driven_mask, mask_before;

    task begin_anew;
        begin
            violation = 0; activates = 0; reads = 0; writes = 0; refreshes = 0;
            open = 0; closes = 0; precharged = 0; mode_set = 0; length_code = 0;
            reading = 0; writing = 0; left = 0; age = 0; refresh_ps = 0; debt = 0; bank = 0; column = 0;
            since_refresh = LONG_AGO; since_mode = LONG_AGO; since_any_activate = LONG_AGO;
            for (k = 0; k < 4; k = k + 1) begin
                since_activate[k] = LONG_AGO; since_precharge[k] = LONG_AGO; since_write[k] = LONG_AGO; row[k] = 0;
            end
        end
    endtask

    initial begin
        begin_anew;
        driven = 0; staged = 0; driven_data = 0; staged_data = 0; mask_before = 0; driven_mask = 0;
    end

    assign d[7:0] = driven & ~driven_mask[0] ? driven_data[7:0] : 8'bz;
    assign d[15:8] = driven & ~driven_mask[1] ? driven_data[15:8] : 8'bz;

    function integer older(input integer clocks);
        older = clocks < LONG_AGO ? clocks + 1 : clocks;
    endfunction

    function integer clocks_of(input integer ps);
        clocks_of = (ps + CLOCK_PS - 1) / CLOCK_PS;
    endfunction

    task refuse(input [4:0] reason);
        if (violation == 0) begin
            violation = reason;
            if (STOPS != 0) $fatal(1, "the SDRAM refuses a command: violation %0d", reason);
        end
    endtask

    task check(input integer clocks, input integer least_ps, input [4:0] reason);
        if (clocks < clocks_of(least_ps)) refuse(reason);
    endtask

    // A bank is precharged: the row was open for long enough, and written data are in it.
    task precharge(input integer b);
        begin
            if (open[b]) begin
                check(since_activate[b], RAS_PS, RAS);
                check(since_write[b], WR_PS, WR);
            end
            // What is left of a burst is lost.
            if (bank == b) begin
                reading = 0;
                writing = 0;
            end
            open[b] = 0;
            closes[b] = 0;
            since_precharge[b] = 0;
        end
    endtask

    // What must hold before any command but a precharge.
    task settled(input integer b);
        begin
            check(since_precharge[b], RP_PS, RP);
            if (open[b]) refuse(STATE);
        end
    endtask

    wire [3:0] command = {csn, rasn, casn, wen};

    always @(posedge clk) begin
        age = age < 2000000000 ? age + 1 : age;
        since_refresh = older(since_refresh);
        since_mode = older(since_mode);
        since_any_activate = older(since_any_activate);
        for (k = 0; k < 4; k = k + 1) begin
            since_activate[k] = older(since_activate[k]);
            since_precharge[k] = older(since_precharge[k]);
            since_write[k] = older(since_write[k]);
            // Auto precharge begins when the burst is over and the row may be closed.
            if (closes[k] && !((reading || writing) && bank == k)
                && since_activate[k] >= clocks_of(RAS_PS) && since_write[k] >= clocks_of(WR_PS)) begin
                open[k] = 0;
                closes[k] = 0;
                since_precharge[k] = 0;
            end
        end
        if (mode_set) begin
            refresh_ps = refresh_ps + CLOCK_PS;
            if (refresh_ps >= REFI_PS) begin
                refresh_ps = refresh_ps - REFI_PS;
                debt = debt + 1;
                if (debt > REFRESH_DEBT) refuse(REFRESH);
            end
        end

        if (!cke && age >= clocks_of(POWER_UP_PS)) refuse(CLOCK_ENABLE);
        if (cke && !csn && command != 4'b0111) begin
            if (age < clocks_of(POWER_UP_PS)) refuse(POWER_UP);
            check(since_refresh, RFC_PS, RFC);
            if (since_mode < MRD_CLOCKS) refuse(MRD);
            case (command[2:0])
                3'b010: begin // precharge
                    for (k = 0; k < 4; k = k + 1) if (a[10] || ba == k) precharge(k);
                    if (a[10]) precharged = 1;
                end
                3'b001: begin // refresh
                    for (k = 0; k < 4; k = k + 1) begin
                        settled(k);
                        check(since_activate[k], RC_PS, RC);
                    end
                    if (!precharged) refuse(POWER_UP);
                    since_refresh = 0;
                    refreshes = refreshes + 1;
                    debt = debt > -REFRESH_DEBT ? debt - 1 : debt;
                end
                3'b000: begin // mode register: sequential bursts of 1 to 8, latency 2
                    for (k = 0; k < 4; k = k + 1) settled(k);
                    if (refreshes < POWER_UP_REFRESHES) refuse(POWER_UP);
                    length_code = a[2:0];
                    if (a[6:4] != 2 || a[2] || a[3] || a[ROW_BITS-1:7] != 0 || ba != 0) refuse(MODE);
                    mode_set = 1;
                    since_mode = 0;
                    debt = 0;
                end
                3'b011: begin // activate
                    if (!mode_set) refuse(POWER_UP);
                    settled(ba);
                    check(since_activate[ba], RC_PS, RC);
                    check(since_any_activate, RRD_PS, RRD);
                    open[ba] = 1;
                    row[ba] = a;
                    since_activate[ba] = 0;
                    since_any_activate = 0;
                    activates = activates + 1;
                end
                3'b101, 3'b100: begin // read, write
                    if (!open[ba] || closes[ba]) refuse(STATE);
                    check(since_activate[ba], RCD_PS, RCD);
                    reading = command[0];
                    writing = !command[0];
                    bank = ba;
                    column = a[COLUMN_BITS-1:0];
                    left = 1 << length_code;
                    closes[ba] = a[10];
                    if (command[0]) reads = reads + 1; else writes = writes + 1;
                end
                default: refuse(STATE); // burst stop is not used by the controller
            endcase
        end

        // Data that are written at this edge; nobody else may drive the bus.
        if (writing) begin
            if (driven) refuse(CONTENTION);
            if (!dqm[0]) content[{row[bank], bank, column}][7:0] <= d[7:0];
            if (!dqm[1]) content[{row[bank], bank, column}][15:8] <= d[15:8];
            since_write[bank] = 0;
        end
        // Data that are read: one clock earlier than they are to be sampled.
        driven <= staged;
        driven_data <= staged_data;
        driven_mask <= mask_before;
        staged <= reading;
        staged_data <= content[{row[bank], bank, column}];
        mask_before <= dqm;
        // The next beat; bursts wrap within their length.
        if (reading || writing) begin
            left = left - 1;
            column = (column & ~((1 << length_code) - 1)) | ((column + 1) & ((1 << length_code) - 1));
            if (left == 0) begin
                reading = 0;
                writing = 0;
            end
        end
        if (clear) begin_anew;
    end
endmodule
